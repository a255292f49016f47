// Package engine is an embeddable event log: a CommitLog on which everything
// else is a projection that can be deleted and rebuilt.
//
// It knows nothing of networks, of RocketMQ or of Raft. Whoever uses it
// appends events as batches, which become frames of the log, and reads them
// back by queue and offset, by key, by position, by time or in log order.
//
// # Goroutines
//
//	flusher   (commitlog) writes, syncs, moves Written and Durable
//	keeper    (commitlog) zero-fill ahead, mark file
//	apply     completes proposals and folds committed frames into the
//	          projections, in log order
//	indexer   writes runs of the index and state checkpoints, merges and
//	          rebuilds index files
//	trimmer   removes what retention has dropped: queues first, then files
//	ticker    asks for syncs in ASYNC mode and for once-a-second work
//
// Readers run in the goroutines of their callers.
//
// # Files
//
// In the log's folder, beside the log's own (package commitlog):
//
//	base              checkpoint: the state where a trimmed log begins
//	index/*.idx       index files (package indexfile)
//	index/*.state     checkpoints of the small state, named by the last frame
//	                  in them, 20 digits; the two newest are kept
//
// The base checkpoint is part of the log: it is written and synced before a
// segment goes. Its sections are queue, topic, offset, group, retention and lock.
// Everything in index follows from the log and may be deleted at any time.
//
// # Index and state
//
// The index of recent log is in memory. When a run, Options.RunBytes of log or
// the rest of a segment, is complete, the indexer writes it to a file, and the
// applier drops it from memory. Then the indexer brings its own copy of the
// small state (topics, offsets, groups) to the same frame and writes a
// checkpoint of it. So neither the write nor the encoding ever holds up the
// applier; it waits only when three runs are ahead of the indexer, and not for
// a disk that refuses. When a segment is sealed and applied its runs are merged
// into one file.
//
// No index file is synced. After a crash whatever is not whole fails a
// checksum, at the start or when it is read, and is rebuilt from its segment.
// Where the disk has no space for index files the index stays in memory, one
// warning is logged, and the indexer tries again each second.
//
// # Retention
//
// An event says up to which frame the log is dropped (event.KindTrim); whoever
// appends decides that. Applying it moves the Trimmed mark. The trimmer then
// folds the frames that go onto the base checkpoint before, writes the new one,
// lets every queue begin at its first event behind the mark, and only then
// removes index files and segments. The oldest offsets so follow from the log
// alone, wherever a replica's segments were cut. A crash between any two of
// these steps leaves the decision in the log or in the base checkpoint, and the
// next start goes on with it. Nothing goes before the decision is durable.
//
// # Installation
//
// A replica that lacks frames which are trimmed elsewhere takes over the base
// checkpoint of another: Install writes it as its own, resets the log to begin
// behind it and restores the projections. Where Open finds a base that the log
// doesn't fit, it resets the log once more; but a log without replicas has
// nobody to get the rest from, so there that is corruption.
//
// # Start
//
// Open takes the longest chain of index files from the log's start on, filling
// gaps from the log, and the newest good state. It replays the log from the
// earlier of the two ends, each projection only what is new to it: at most
// two runs after a kill. Files that claim frames past the log's end (an ASYNC
// log can lose applied frames with the power) are removed for good before
// anything is appended; a file that ends in the last segment must also carry
// the checksum of its last frame.
package engine
