// Package clustertest simulates a replicated group in one process: each node is
// a replication.Group over an engine on a disk in memory that can lose power,
// and a network in memory connects them. Clients propose through the Proposer.
//
// A scenario runs in a bubble of testing/synctest: time goes on only when
// nothing is left to do at present. So timeouts mean what they say on a machine
// that is busy, and an hour of silence costs nothing. Seeds decide what breaks
// and when, how long messages and syncs take, and what a power cut leaves
// behind; the order in which goroutines run is real, so that a seed tells most
// but not all of a run.
//
// # What breaks
//
//	power      a machine does nothing any more, and nobody answers for it; its
//	           disk keeps what was synced and what chance grants of the rest,
//	           write by write, name by name. At any time, or at a step of the disk
//	process    ends; its connections break and nobody listens
//	network    an address is cut off from others, both ways or one way, so that
//	           what is sent waits; connections break; links are slow
//	disk       syncs are late or hang; no room for another segment
//	clock      a day or an hour off
//	operators  leadership is handed over, members come and go, retention drops
//	           the oldest part of the log
//
// # What is checked
//
// The ledger has every message that was proposed, with its answer, and every
// frame that any node has applied. While nodes run:
//
//   - no node applies another frame at an index than the first one did;
//   - a message is where the answer says, at that queue offset and position,
//     once; one that was refused is nowhere;
//   - the messages of a client are in a queue in the order in which it sent them;
//   - after the same frame all nodes have the same state (engine.Sum), and no
//     leader finds otherwise;
//   - marks are in order.
//
// At rest:
//
//   - everything confirmed is in the log;
//   - every queue serves exactly the messages that the log has for it;
//   - all replicas have the same state, compared byte for byte.
//
// A machine without power is one whose goroutines find their disk gone. Raft
// panics there, as a process would end; so its goroutines end instead, where
// they touch the disk (machineDisk).
package clustertest
