// Package duty does what a leader does by itself, without a request: it looks
// at the clock, the disk and the projections, decides, and proposes an event.
// Only the leader runs duties; replicas see the event and do the same.
//
// # Retention
//
// Retention drops the oldest segments of the log, always whole ones and never
// the newest. It looks every ten seconds, as RocketMQ 5 does, and follows
// RocketMQ's rules:
//
//	age    A segment goes when its newest message is older than
//	       fileReservedTime hours. That happens in the hours of the day that
//	       deleteWhen names (local time), so that the disk works when the load
//	       is low, and at any hour while more than diskMaxUsedSpaceRatio percent
//	       of the disk are in use.
//	space  While more than diskSpaceCleanForciblyRatio percent of the disk are in
//	       use the oldest segments go, however young, as many as bring the disk
//	       back to that ratio; unless cleanFileForciblyEnable is off.
//	size   Apogee's own: the oldest segments go while the log's files are longer
//	       than commitLogSizeMax, at any hour.
//
// Whether anybody has consumed the messages plays no part, as in RocketMQ. The
// decision is one event, event.KindTrim; what it drops is gone for consumers as
// soon as it is applied. The files follow in the background. Segments whose
// removal is still under way count as removed already.
package duty
