// Package replication decides what enters the log and when it counts as
// committed.
//
// Everything that depends on state is decided once, by the leader's single
// Proposer; the log gets outcomes only. The Proposer counts queue offsets,
// gathers proposals into one batch while the batch before is on its way to the
// disk, and completes them in log order. What is accepted is stored unless the
// process or the disk fails: a full disk, and too many bytes that wait, refuse a
// proposal before anything of it is in the log.
//
// # A node by itself
//
// A Single runs the same frames as a group, without Raft's goroutines: a new log
// begins with a Raft configuration entry that names the node as the only voter,
// at index 1 and term 1. What it has written, or synced, is committed. A log
// that was in a group is opened so only when its newest configuration names this
// node as the only voter; the node then leads in a new term, durable before it
// proposes.
//
// # A node of a group
//
// The log itself is what Raft replicates; there is no second copy. These are
// what hashicorp/raft works with:
//
//	LogStore     the log as Raft's log: entries are frames
//	StableStore  term and vote, always synced
//	Snapshots    the base checkpoint, which stands in for what retention dropped
//
// DeleteRange is two things. A suffix is in conflict with the leader's log and is
// gone for good when the call returns. A prefix is a hint only: retention decides
// what goes. A snapshot holds state and points at the log, so a replica that
// installs one gets every retained frame as an entry.
//
// A full disk is no failure. StoreLogs refuses what doesn't fit, Raft sends it
// again, and what was left behind of it counts once: a leader steps down, a
// follower catches up when there is room. A failed write or sync ends the
// process.
//
// # Goroutines
//
//	any number   Propose: encodes into the open batch, under one lock
//	flusher      closes the open batch when it can write (group commit) and
//	             completes the proposals of committed frames
//	watch        ten times a second: completes proposals whose flush is late
//	Raft's       StoreLogs, DeleteRange, Reset one at a time; reads beside them
package replication
