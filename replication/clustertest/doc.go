// Package clustertest runs a replicated group in one process: each node has a
// commit log as Raft's log store on a simulated disk that can lose power, and
// Raft's in-memory transport between them.
//
// Every node reports each frame that it applies to a ledger. A frame that any
// node has applied is committed, so from then on
//
//   - no node ever applies another frame at that index, or the same one at
//     another position;
//   - it is in the log of every node in the end, unless that one has trimmed it;
//   - the state that it leads to is the same on all nodes.
//
// Check compares the logs frame by frame: the bytes of the header that replicas
// share are covered by its checksum, which is part of the next frame's.
//
// A power cut ends a node as it would end a machine: nothing that the node does
// after its disk is gone reaches the others. Seeds decide what a cut leaves
// behind and when it comes; goroutines and time are real, so that a seed tells
// most but not all of a run.
package clustertest
