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
//
// What waits in the part that is to go, for its time or for the outcome of its
// transaction, is stored again before (event.KindMoved), and the trim is decided
// when that is applied. Where there is no room for all of that, it goes segment
// by segment, as far as there is room. A full disk has some left for it, as the
// log holds back the end of its last segment; what doesn't fit there isn't moved
// at all, so that the room isn't used up in vain.
//
// # Transactions
//
// A half message whose outcome nobody has told for transactionTimeOut, or for
// the CHECK_IMMUNITY_TIME_IN_SECONDS that its producer gave it, is due: the
// duty stores an event.KindAsked, which says when it is due again
// (transactionCheckInterval later), and then has a producer of its group asked.
// RocketMQ looks at all half messages each transactionCheckInterval; here each
// has its own time, so the first check comes when the timeout is over and not
// up to an interval later. After transactionCheckMax checks, or when the message
// is older than fileReservedTime, it is moved to TRANS_CHECK_MAX_TIME_TOPIC. A
// check counts whether a producer was online or not, as in RocketMQ.
//
// # Delivery
//
// Delivery stores delayed messages in their topics when they are due: by the
// clock of the leader, never early, each once. The event that delivers a message
// is the one that ends its wait, so after a crash either both have happened or
// neither, and what came due meanwhile is delivered at once.
//
// Some dozens of messages go with one proposal, a parcel, in the order in which
// they are due: reading, deciding and storing them costs the locks of one. A look
// at the table settles which are due; while they are delivered the settlement
// remembers what ends otherwise, so that the table isn't asked about each again.
//
// So much that waits may come due in one second that others would wait for it.
// What is proposed and not yet stored is therefore bounded, in bytes and in
// number: the log takes it with one sync, next to what producers send.
package duty
