// Package queue is the projection that numbers the events of each queue: the
// consume queues. It answers where event n of a queue stands in the log.
//
// # What enters
//
// Every event with event.StreamQueue takes the next offset of its queue,
// whatever its kind. Events of other streams enter nothing here. When a topic
// incarnation is deleted its queues are gone, counters included; an
// incarnation that is created again has another id, so its queues start at 0.
// When a segment is trimmed its entries go and the counters stay.
//
// # Memory
//
// An entry takes 16 bytes:
//
//	off  size  field
//	  0     4  frame     byte offset of the frame's header in the segment's file
//	  4     4  bytes     length of the encoded event
//	  8     4  tag       tag code
//	 12     4  position  position of the event minus the segment's base position
//
// Entries of one queue and one segment form a run. A run's first chunk has
// room for 8 entries and doubles up to 1024, later chunks have room for 1024
// at once. So a queue with a handful of messages takes about 300 bytes, and a
// large one less than twice its entries.
//
// Each chunk keeps the timestamp of every 64th entry. As timestamps never go
// back along the log, that narrows a search by time to one block of 64
// entries; the reader takes the exact times from the frames. Blocks are
// counted from the start of a run, so they are the same after a restore.
//
// # Goroutines
//
// One goroutine, the applier, calls Apply, DropSegment, Checkpoint and Restore.
// Readers share nothing with it but atomics: a chunk's entries are written
// before its count is stored, a list of chunks is never changed once it is
// published, and a reader works on the list that it loaded. So a reader never
// waits for the applier, nor the applier for a reader, and what a reader holds
// stays intact when a segment is dropped meanwhile.
//
// # Checkpoint, format 1, little-endian
//
//	4  format    1
//	4  queues    number of queues; then for each, by topic id and queue id:
//	   4  topic
//	   4  queue id
//	   8  next      offset that the next event takes
//	   4  runs      number of runs; then for each, oldest first:
//	      8  segment   base position
//	      4  entries   1 or more, in blocks of 64, the last one shorter:
//	         8   time     of the block's first entry, Unix milliseconds
//	         16  entry    as above, once per entry
package queue
