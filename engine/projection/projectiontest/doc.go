// Package projectiontest holds the suite that every projection passes: it is a
// pure fold over the log, and its checkpoints are canonical.
//
// The suite draws logs of events that a proposer may let through, from small
// sets of topics, queues and groups so that they meet, and compares what ways
// of folding them give, byte for byte: at once, with checkpoints in between,
// and restored in the middle. Every event's buffer is overwritten once it is
// applied, so a projection that keeps a part of it shows.
package projectiontest
