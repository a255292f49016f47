// Package topic is the projection of topic configurations.
//
// # Fold
//
// event.KindTopic creates the incarnation in the envelope or replaces its
// configuration; event.KindTopicDeleted removes it. A name belongs to one
// incarnation at a time. A proposer takes NextID for a new topic and never
// names two live incarnations alike, never renames one and never configures a
// deleted one. Should it do so all the same, the latest event wins: it takes
// the name from the incarnation that had it, which is gone from this table, and
// gives up the name that its own incarnation had before. So no event that can
// be decoded stops a replica.
//
// # Goroutines
//
// The applier calls Apply, Checkpoint and Restore. All else is safe from any
// goroutine. Get neither locks nor allocates.
//
// # Checkpoint, format 1, little-endian
//
//	4  format   1
//	4  last id  the highest id ever used, 0 for none
//	8  version  number of changes
//	4  topics   number of topics; then for each, by id:
//	   4  id
//	   8  changed at, Unix milliseconds
//	   4  length of the configuration, and the configuration as the payload
//	      of event.KindTopic has it
package topic
