// Package simdisk is a disk in memory that loses power by seed.
//
// It implements disk.Disk with no more promises than that package makes, so
// that code which is correct on a simulated disk is correct on every file
// system that keeps them. Everything that chance decides (the order in which
// queued operations complete, what a power cut leaves behind) comes from the
// seed: one goroutine that does the same calls again sees the same disk.
//
// # What survives
//
// A process sees the bytes of completed writes. A power cut (Crash) leaves
// less. For each file the disk keeps the durable contents and a list of the
// changes since; a sync moves the changes that had completed before it was
// submitted from the list into the durable contents.
//
//   - Data: each 512-byte sector holds, after a cut, the durable bytes or any
//     of its versions since. Writes in flight count as versions. With
//     Options.TornSectors a sector may also be a mix of two versions.
//   - Size: changes of the size survive in order, any number of them. Bytes
//     past the size that survived are gone. Sync makes the size durable;
//     SyncData does so only if data it covers can't be read without. A lone
//     Truncate or Allocate followed by SyncData may be lost.
//   - Names: creations, renames and removals are atomic, but survive in any
//     order that keeps changes to one name or one file in order. SyncDir makes
//     those of one directory durable; the name of the directory itself stands
//     in its parent. Syncing a file does nothing for its name.
//   - Space that was allocated and never written reads as zeros. A renamed
//     file keeps its old bytes, as a recycled segment does. With
//     Options.StaleBytes, space that a write allocated shows bytes of removed
//     files when its data was lost, as ext4 does with data=writeback.
//
// The death of the process (Kill) keeps completed operations and lets writes
// in flight land, vanish or land in part.
//
// # Misuse
//
// What a real disk would punish with silent damage panics here: two writes in
// flight on one block, a buffer changed before its write completed or from
// outside the arena, more operations in flight than the queue's depth.
//
// # Cutting power at an exact point
//
// Every step that changes the disk is counted: calls that change something,
// and for queued operations the submission and the completion. CrashAfter(n)
// turns the power off in the n-th step from now: from there on everything
// fails with ErrCrashed, and Crash gives the disk that is found after power
// came back. A test that walks n from 1 visits every cut there is; Replay
// tells how to get there again.
package simdisk
