// Package record is the layout of a message as RocketMQ's consumers read it:
// the bytes that a pull returns, one record after the other. In the log such
// a record is the payload of a message event. Nothing outside server/broker
// knows this layout.
//
// # Byte format, big-endian
//
//	off  size   field
//	  0     4   total size, this field included
//	  4     4   magic: 0xDAA320A7 (version 1) or 0xDAA320AB (version 2)
//	  8     4   CRC-32 (IEEE) of the body, without its top bit
//	 12     4   queue id
//	 16     4   flag, the application's
//	 20     8   queue offset        *
//	 28     8   physical offset     *
//	 36     4   system flag
//	 40     8   born timestamp, Unix milliseconds, the producer's clock
//	 48  8|20   born host: address, then the port in four bytes
//	  …     8   store timestamp     *
//	  …  8|20   store host: address, then the port in four bytes
//	  …     4   reconsume times
//	  …     8   position of the half message of a transaction, else 0
//	  …   4+n   body: length, bytes
//	  …   1+n   topic: length, bytes (version 2 has a length of two bytes)
//	  …   2+n   properties: length, bytes
//
// The fields with a star say where the message stands. They are zero in the
// log, so that a record's bytes are known before its place is, and [Fill]
// sets them in the copy that is sent. Bits of the system flag say whether
// each host has 4 or 16 address bytes. Version 2 is written for topics longer
// than 127 bytes only, as older clients don't know it.
//
// # Properties
//
// Properties are one string: name, 0x01, value, 0x02, and so on; the last
// 0x02 may be missing. Entries without a name or a value don't count. When a
// name is there twice, the last one holds. [Properties] walks the bytes
// without allocating.
package record
