// Package checkpoint is the container for state: what a file holds that stands
// in for the log up to one frame. The base checkpoint in a log's folder is one,
// and so is the state that a replica sends to another.
//
// The container knows where in the log the state belongs and that its bytes
// are whole; what is in a section is the business of the projection that it is
// named after. Sections are streamed: neither side holds one in memory.
//
// # Byte format, version 1, little-endian
//
//	off  size  field
//	  0     8  magic    "APOGEECP"
//	  8     4  version  1
//	 12    16  log id
//	 28     …  records
//
// A record:
//
//	0     1  type
//	1     4  length of the data
//	5     …  data
//	…     4  crc      CRC-32C of type, length and data, continued from the crc
//	                  of the record before; the first one continues from that
//	                  of bytes 0..28, which is seeded with the log's id
//
// So each crc covers everything before it: a record that is damaged, missing,
// repeated or moved, and a file of another log, fail at that place. The last
// crc is the checksum of the whole file.
//
//	type  data
//	  1   header: 8 index, 8 term, 8 position, 8 timestamp, 4 crc of the frame
//	      at index, then the raft configuration (1 MiB at most)
//	  2   section begins: its name, 1 to 64 bytes
//	  3   section bytes: 1 to 262,144 of them
//	  4   section ends: 8 number of its bytes
//	  5   trailer: 4 number of sections, 8 number of bytes in all sections
//
// In this order: one header; for each section a beginning, its bytes and an
// end; one trailer, with which the file ends. Names do not occur twice.
//
// # Errors
//
// They name the byte of the file at which the record in question begins; the
// caller adds the file's name. ErrCorrupt, ErrVersion and ErrForeign tell the
// cases apart; other errors are those of the reader or writer underneath.
package checkpoint
