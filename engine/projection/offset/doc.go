// Package offset is the projection of consumer progress: which offset each
// group has committed for each queue.
//
// # Fold
//
// event.KindOffsets sets what its commits say, in their order; going back is
// legal, since operators reset groups. When a topic incarnation is deleted, the
// commits for its queues are gone, and so are those of a group that is deleted
// with its offsets; with its last commit a group is gone from this table. A commit for a queue that does not exist is kept like any
// other: this table knows no topics.
//
// # Goroutines
//
// The applier calls Apply, Checkpoint and Restore. All else is safe from any
// goroutine. Get does not allocate. An event with many commits is taken in by
// steps of lockCommitsMax, so that readers never wait long; between two steps
// they see a part of the event.
//
// # Checkpoint, format 1, little-endian; a text is its length in 4 bytes and
// its bytes
//
//	4  format   1
//	8  version  number of changes
//	4  groups   number of groups; then for each, by name:
//	   text  name
//	   4     number of commits, 1 or more; then for each, by queue:
//	      4     topic
//	      4     queue id
//	      8     offset
//	      8     time of the commit, Unix milliseconds
//	      text  client
package offset
