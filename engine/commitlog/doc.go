// Package commitlog is the log: numbered frames in segment files, appended by
// one caller, written and synced in groups, recovered after a crash.
//
// # Addresses
//
// A frame has an event.Index (1, 2, 3 …: the Raft index) and an event.Position
// (the number of data bytes before it). Headers and padding don't count, so
// both are the same on every replica, whatever its segments look like. Every
// frame has at least one data byte; so a position tells frames apart, too.
//
// # Files
//
//	meta                         log, group and node id; written once, last
//	<base position, 20 digits>.seg
//	mark                         the Durable mark, at most a second old
//	spare.tmp                    the next segment in the making
//	torn/                        what recovery cut off
//	damaged/                     what stood where frames were repaired
//	running                      exists while a log is open that doesn't sync every write
//	lost                         exists while frames may be missing that were acknowledged
//	cut                          exists while a Truncate is under way
//	reset                        exists while a Reset is under way
//	lock                         held while the log is open
//
// All numbers are little-endian. All checksums are CRC-32C and begin with a
// seed made from the log's random id (the meta file's begin with 0), so bytes
// of another log, or bytes that a client put into a message, never pass.
//
// # Segment, version 1
//
// The first block is a record (below) of 72 payload bytes:
//
//	off  size  field
//	  0    16  log id
//	 16     8  base position    of the first frame's data
//	 24     8  index            of the frame before the first, 0 for none
//	 32     8  term             of that frame
//	 40     8  timestamp        of that frame
//	 48     8  segment bytes    length of the file
//	 56     4  chain            header checksum of that frame
//	 60     4  block bytes      where frames begin
//	 64     4  flags            bit 0: recycled, the file held older frames before
//	 68     4  0
//
// Frames follow, each on a multiple of 8, each whole in one segment. Behind a
// frame the next begins at once, or, for a large frame that was not to wait for
// the block in flight, at the next block boundary.
//
// # Frame, version 1
//
//	off  size  field
//	  0     4  magic 0x46475041
//	  4     2  version 1
//	  6     1  kind: 1 events, 2 configuration, 3 noop, 4 barrier
//	  7     1  0
//	  8     4  data bytes, at least 1
//	 12     4  number of events
//	 16     8  index
//	 24     8  term
//	 32     8  position of the first data byte
//	 40     8  timestamp in Unix milliseconds, never below the frame's before
//	 48     4  chain: header checksum of the frame before, 0 for the first
//	 52     4  data checksum
//	 56     4  header checksum, over bytes 0..56
//	 60     4  local checksum, over bytes 64..72, its seed mixed with the header checksum
//	 64     8  local: this node's Durable mark when the frame was built
//	 72     …  data; then zeros up to a multiple of 8
//
// The data checksum of an events frame covers the first 8 bytes of each event:
// its length and its own checksum, which covers the rest of it. What follows the
// last event, and the data of other kinds, is covered as it is.
//
// Bytes 0..60 and the data are the same on all replicas. The local word is not
// part of the chain. A configuration frame's data is the log's id followed by
// the Raft configuration as hashicorp/raft encodes it; the first frame of a log
// is one, at index 1 and term 1.
//
// # Record, version 1
//
// Segment header, meta file and mark file are records:
//
//	off  size  field
//	  0     4  magic 0x42475041
//	  4     2  version 1
//	  6     2  kind: 1 segment, 2 meta, 3 mark, 4 cut, 5 reset, 6 running, 7 lost
//	  8     4  payload bytes
//	 12     4  checksum over bytes 0..12 and the payload
//	 16     …  payload
//
// Meta payload: log id, group id, node id, 16 bytes each. Mark payload: the
// Durable mark as an index, 8 bytes. Cut payload: the index of the last frame
// that stays, 8 bytes. Reset payload: index, term, position and timestamp of the
// frame before the new beginning, 8 bytes each, and its header checksum, 4 bytes.
// Running payload: the boot of the machine, 16 bytes, 0 where it isn't known. Lost
// payload: index of the last frame that was kept, position after it, index of the
// last frame of which it is known that it was there, 8 bytes each, and the cause,
// 4 bytes: 1 power, 2 damage, 3 force.
//
// # Writing
//
// Append copies a batch into the open chunk of the tail, or adopts one that was
// put together in leased memory of the tail. The flusher takes the chunk when it
// can write it: one aligned write. The block in which a chunk
// ends is repeated at the start of the next, so the log is dense; two writes
// in flight never touch one block. Rewriting a block repeats the same bytes
// before the old end, and relies on the device to write a sector whole or not
// at all.
//
// One sync is in flight at most. It covers every write that had completed
// before it was submitted; its completion moves Durable to what Written was then.
//
// A segment begins only after the one before is durable to its end. So only the
// last segment can be torn.
//
// # Reading
//
// What has left the tail is read in blocks of 256 KiB into a cache that all
// readers share. A block that is asked for after the one before it has the next
// two read ahead, so draining a backlog doesn't wait for the disk at every
// block, and a look-up alone reads one block. A Reader keeps the block of its
// last event pinned until Release: neighbours are checked and shown in place.
//
// # Truncate and Trim
//
// Truncate drops frames from the end. It first writes the cut file; then it
// removes later segments, overwrites the frames with zeros, syncs and removes
// the cut file. Open finishes a Truncate that was cut short. So no stale frame
// with a Durable mark is ever left behind the log's end.
//
// Reset drops everything and begins anew behind a frame that a checkpoint from
// another replica covers; the reset file makes it whole across a crash.
//
// Trim drops whole segments from the start, once their readers have left. A
// trimmed file of the right size becomes the spare segment: its old frames have
// lower indexes than any that recovery looks for.
//
// # Recovery
//
// Open walks the frames of the last segment. Where they end, it looks as far
// ahead as writes in flight can have reached; the table in recovery.go decides
// between a clean end, a torn tail (cut, kept in torn/) and corruption (refuse
// to open). Only a Durable mark past the last valid frame, in a later frame or
// in the mark file, proves that durable bytes are missing.
//
// A log that has other copies (Options.Copies) is opened all the same. Frames that
// were durable, with good ones behind them, are passed over: they are read later,
// and repaired then. Where nothing good follows, the log is cut, and that it has
// lost frames is noted before. It is noted, too, when the machine went down while
// a log was open that doesn't sync every write. Whoever opens the log decides what
// a Loss means.
//
// # Repair
//
// A reader that meets a damaged frame doesn't show it. With other copies it
// looks on the disk what is damaged, gets those frames from a copy, and accepts
// them only if they are the ones between the good frames around: each header has
// the checksum of the one before. It keeps the damaged bytes in damaged/, writes
// those blocks that differ, syncs, and reads them back. A block that is written has
// of the good frames around the bytes that it had, so that a power cut in between
// leaves nothing worse than before.
package commitlog
