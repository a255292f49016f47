// Package group is the projection of consumer group configurations.
//
// # Fold
//
// event.KindGroup creates the group that its payload names or replaces its
// configuration; event.KindGroupDeleted removes it. Deleting a group that is
// not there changes nothing. What a deletion says about offsets is the
// business of the projection of offsets.
//
// # Goroutines
//
// The applier calls Apply, Checkpoint and Restore. All else is safe from any
// goroutine. Get neither locks nor allocates.
//
// # Checkpoint, format 1, little-endian
//
//	4  format   1
//	8  version  number of changes
//	4  groups   number of groups; then for each, by name:
//	   8  changed at, Unix milliseconds
//	   4  length of the configuration, and the configuration as the payload
//	      of event.KindGroup has it
package group
