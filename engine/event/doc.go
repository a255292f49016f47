// Package event defines what can stand in the log: the event envelope, its
// kinds and the types that number things.
//
// An event is an envelope plus an opaque payload. Everything that projections
// need is in the envelope; what a message's payload means is known to the
// broker alone. The log holds facts, never conditions: whoever proposes an
// event has decided everything that depends on state, time or chance.
//
// # Byte format, version 1, little-endian
//
//	off  size  field
//	  0     4  length     whole event in bytes, this field included
//	  4     4  crc        CRC-32C of bytes 8..length, seeded with the log's id
//	  8     1  kind       Kind
//	  9     1  stream     Stream
//	 10     1  flags      bit 0: due time present, bit 1: cause present; the
//	                      others are zero
//	 11     1  keys       number of key hashes, 0..255
//	 12     4  topic      TopicID, 0 for none
//	 16     4  queue      queue id
//	 20     4  tag        tag code (a 32-bit hash), 0 for none
//	 24   0|8  due        Unix milliseconds, only with flag bit 0
//	  …   0|8  cause      Position of a waiting event, only with flag bit 1
//	  …   8·k  key hashes KeyHash values
//	  …     …  payload
//
// The envelope of a plain message with two keys takes 40 bytes. The checksum
// per event lets a reader verify one event without reading its whole frame;
// the seed makes bytes of another log, or bytes a client planted in a message
// body, fail that check.
//
// # Key hashes
//
// A key is hashed together with a topic id (KeyHash), and events are found by
// the hashes that they carry. Messages carry those of the keys that clients
// gave them. Other events carry hashes of keys of the log's own, which begin
// with a byte that no client's key has:
//
//	02 'c' queue id (4)  group    offsets: the group's commit for a queue of the
//	                              topic
//	02 'f' queue id (4)  group    offsets: that commit is the group's first there
//	02 'b' queue id (4)  group    offsets: that commit sets the group back
//	02 'd' queue id (4)  block (8)  group
//	                              delivered: to the group, of the block of 1024
//	                              offsets with that number
//	02 'e' handle (8)             dropped: what the handle names has ended;
//	                              hashed with topic 0
//
// Positions, indexes and queue offsets are all 64-bit counters that look
// alike. Each has a type of its own; conversions go through named functions.
package event
