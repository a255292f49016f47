// Package indexfile is the index of a range of frames in one immutable file:
// where the events of each queue stand, how far each queue had come at the end
// of the range, and which events carry a key.
//
// A file never crosses a segment of the log. It follows from the log alone and
// may be deleted at any time; so it is written without a sync, and whoever
// finds it damaged rebuilds it from its segment.
//
// # Names
//
//	<segment base>-<first frame>-<last frame>.idx      20 digits each
//	….idx.tmp                                          being written
//
// # Byte format, version 1, little-endian
//
// The file is a row of blocks of 16,384 bytes:
//
//	off    size  field
//	    0  16320  payload
//	16320    60  0
//	16380     4  CRC-32C of the bytes before, its seed made from the log's id,
//	             the three numbers of the name and the number of the block
//
// So a block of another file, of another place or of an older file of another
// name never passes. Sections follow each other, each from the start of a
// block, in this order. No item crosses a block.
//
//	section  item bytes  items
//	entries          16  events of queues: queue by queue, in log order
//	table            32  every live queue at the end of the range, by topic and queue id
//	samples          16  time and place of about one frame per 64 KiB of log
//	keys             12  key hashes of events, by hash, then by position
//	filter           64  a Bloom filter over the hashes, see below
//	fences            8  first queue (topic << 32 | id) of each block of the table,
//	                     then first hash of each block of keys
//	foot           one block, the last of the file
//
// Entry: 4 byte offset of the frame's header in the segment's file, 4 length of
// the encoded event, 4 tag code, 4 position minus segment base.
//
// Table row: 4 topic, 4 queue id, 8 next offset at the end of the range, 8
// position of the event with which the queue began, 4 number of its first
// entry in this file, 4 number of its entries. A queue without entries here
// has a row all the same: so the file that holds an offset is found by binary
// search over files.
//
// Sample: 8 timestamp of a frame in Unix milliseconds, 4 position of its first
// event minus segment base, 4 byte offset of its header. The first frame of
// the range is always there.
//
// Key: 8 hash (event.KeyHash), 4 position minus segment base.
//
// Filter: lines of 512 bits. A hash h sets 6 bits of one line: the line is the
// upper half of h × lines (128-bit product), the bits are the six lowest 9-bit
// numbers of h × 0x9E3779B97F4A7C15. There is one line per 51 keys, about 10 bits a key.
//
// Foot:
//
//	off  size  field
//	  0     8  magic "APOGEEIX"
//	  8     4  version 1
//	 12     4  header checksum of the last frame
//	 16     8  segment base
//	 24     8  first frame
//	 32     8  last frame
//	 40     8  position at which the first frame begins
//	 48     8  position after the last frame
//	 56     8  timestamp of the first frame
//	 64     8  timestamp of the last frame
//	 72     4  entries
//	 76     4  rows
//	 80     4  samples
//	 84     4  keys
//	 88     4  filter lines
//
// The length of the file follows from the numbers of the foot; any other
// length is damage.
//
// # Reading
//
// A Shelf holds the open files of one folder, a bounded cache of blocks and a
// bounded number of file handles. Every block is verified before its first
// byte is used. Damage gives ErrDamaged, and the shelf's owner is told once
// per file. A file that was replaced gives ErrRetired: look again where it was
// found.
package indexfile
