// Package volatile wraps a disk.Disk so that the death of the process is as
// bad as a power cut: what was written and not synced stays in the memory of
// the process and dies with it.
//
// Fault runs kill real processes. The kernel keeps what a killed process has
// written, so such a kill can't show a missing sync; on this disk it does.
//
// Some writes reach the disk below before they are synced, chosen by seed, as
// the cache of a device lets some out early: after a kill, later writes may be
// there and earlier ones not. The blocks of a write survive one by one. A sync
// that is under way when the process dies has written some of its blocks.
//
// Names don't: creations, renames and removals survive at once. What becomes of
// names that were not synced is tested on the simulated disk.
package volatile
