// Package disk is the seam between the log and storage: files, directories
// and a queue of writes and syncs owned by one goroutine.
//
// What the log needs from a disk, and what every implementation promises:
//
//   - A write that completed survives the death of the process. Only a sync
//     that was submitted after the write completed makes it survive a power cut.
//   - Writes of one Queue may complete in any order. The owner never has two
//     writes in flight on one block.
//   - A created, renamed or removed name survives a power cut only after
//     SyncDir of its directory.
//   - An error of a write or a sync is final. The file's contents near it are
//     unknown; the owner must stop and recover, never retry.
//
// OpenPosix uses plain system calls and works everywhere. Tests use a
// simulated disk that crashes by seed and a wrapper that injects faults; one
// conformance suite runs over all of them.
package disk
