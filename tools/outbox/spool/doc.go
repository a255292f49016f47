// Package spool keeps messages that can't be sent now, on this machine's disk,
// until they were sent.
//
// It is a CommitLog with the engine's projections and nothing beside them: an
// entry is an event of the kind message in the queue of its stream, and what is
// done of a stream is an offset commit. Both are synced like everything in the
// log: an entry whose Stored was called survives a power cut.
//
// # Streams
//
// A stream is a sequence of entries that keep their order: a queue of a topic, a
// part of the sharding keys. Streams are independent of each other. A stream is
// one queue of an engine's topic; the topic's name is the stream's, the number
// of the queue its lane.
//
// Whoever puts entries one after the other, waiting for each answer, wants them
// delivered so; entries that were under way at the same time have no order. So
// each entry says how many stand between it and the last one that was answered
// before it came: its peers. They may be sent side by side with it; all before
// them come first.
//
// # What is done
//
// Done moves a stream's mark; marks that moved are gathered into one event while
// the one before is written. Until it is written the entries count as waiting. A
// death of the process can therefore bring back entries that were delivered in
// its last moments, but no others.
//
// What will never be delivered goes to the quarantine: one event has the entry
// with the reason and moves the stream's mark. It stays there until somebody
// says that it is to be sent again, or dropped.
//
// # Bytes of an entry: the payload of its event, little-endian
//
//	off  size  field
//	  0     1  version 1
//	  1     1  flags: bit 0: it may have been delivered before
//	  2     2  peers
//	  4     8  number in its stream: the queue offset
//	 12     2  length of the stream's name
//	 14     n  the stream's name
//	  …     …  what it is about, its owner's
//
// The tag code of the event is its length, so that the index alone tells how
// much waits. In the quarantine an entry stands behind these bytes:
//
//	off  size  field
//	  0     1  version 1
//	  1     1  0
//	  2     2  length of the reason
//	  4     4  lane of its stream
//	  8     n  the reason
//	  …     …  the entry, nothing where it can't be read any more
//
// and what leaves the quarantine is noted in another stream, by its number there:
// version 1, seven zeros, eight bytes.
//
// # Bounds
//
// Options.BytesMax bounds the log's bytes. What is full refuses entries and
// keeps what it has. The oldest segments go when everything in them is done. One
// entry that stays holds all behind it: so entries of the quarantine are stored
// again, at the end, when half of the space is in use.
//
// # Damage
//
// An entry that can't be read, as its bytes are damaged, goes to the quarantine
// with the reason and without its bytes; what stands behind it goes on. From a
// log that can't be opened all entries that are whole and wait are put into a
// new one. When that is synced, the damaged one is moved aside, to damaged-TIME in
// the same folder, and the new one takes its place. Which of them
// were done is known as far as the marks in it are whole; the others count as
// possible duplicates. Nothing is ever removed from a folder moved aside.
package spool
