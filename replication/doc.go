// Package replication decides what enters the log and when it counts as
// committed.
//
// Everything that depends on state is decided once, by the leader's single
// Proposer; the log gets outcomes only. The Proposer counts queue offsets,
// gathers proposals into one batch while the batch before is on its way to the
// disk, and completes them in log order.
//
// A single node runs the same frames as a group, without Raft's goroutines: a
// new log begins with a Raft configuration entry that names the node as the
// only voter, at index 1 and term 1.
//
// # Goroutines
//
//	any number   Propose: encodes into the open batch, under one lock
//	flusher      closes the open batch when it can write (group commit) and
//	             completes the proposals of committed frames
//	ticker       completes proposals whose flush is late
package replication
