// Package queue is the projection that numbers the events of each queue: the
// consume queues. It answers where event n of a queue stands in the log, which
// offset a queue had at a time, and which events may carry a key.
//
// # What enters
//
// Every event with event.StreamQueue takes the next offset of its queue,
// whatever its kind. Events of other streams enter no queue. The key hashes of
// all events enter the key index. When a topic incarnation is deleted its
// queues are gone, counters included; an incarnation that is created again has
// another id, so its queues start at 0. When a segment is trimmed its entries
// go and the counters stay.
//
// # Runs and files
//
// The index of consecutive frames of one segment is a run. The newest run is
// active: it takes in what is applied. Advance seals it when it covers enough
// log or its segment ends. A sealed run is written to an index file by whoever
// owns the files (package indexfile has the format); Publish makes the file
// known to readers, then Forget drops the run from memory. Where one run ends
// and the next begins follows from the log alone, so an index that is rebuilt
// has the same files.
//
// The table of a file is the table of the file before, less the queues of
// topics deleted in the run, with the queues that the run has touched. So a
// file is written from its run and the file before, while the applier goes on.
// A queue is told from an earlier one of the same name, which was deleted, by
// the position of its first event.
//
// # Memory
//
// Every live queue takes about 200 bytes, for its counters. An entry of a run
// in memory takes 16 bytes, as in the file; the first chunk of a queue in a
// run has room for 4 and doubles up to 1024. A key takes 16 bytes.
//
// # Reading
//
// An offset is looked up in the chunks in memory, then by binary search over
// files: the file that holds it is the first in whose table the queue's next
// offset is above it. Time is looked up in the samples of the runs, which give
// a range of positions, and those by binary search in the queue's entries.
// Keys are looked for in the runs from their end, then file by file, newest
// first, behind a filter; no more is read than is visited.
//
// # Goroutines
//
// One goroutine, the applier, calls Apply, Advance, Seal, Forget, DropSegment,
// Checkpoint, Counters, Restore and Load; the owner of the files calls Publish
// and Run.Write. Readers share nothing with them but atomics: a chunk's entries
// are written before its count is stored, a list of chunks, runs or files is
// never changed once it is published, and a reader works on the list that it
// loaded. So a reader never waits for the applier, nor the applier for a
// reader, and what a reader holds stays intact when a segment is dropped
// meanwhile. A file that was replaced meanwhile makes a reader look again.
//
// # Checkpoint, format 1, little-endian
//
// The counters; entries stand in index files or are read from the log.
//
//	4  format    1
//	4  queues    number of queues; then for each, by topic id and queue id:
//	   4  topic
//	   4  queue id
//	   8  next      offset that the next event takes
//	   8  born      position of the queue's first event
//
// A queue that is restored holds no entries: its oldest offset is the next one.
package queue
