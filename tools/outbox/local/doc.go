// Package local is an outbox's spool on this machine's disk: messages are
// entries of a [spool.Spool], a log of its own in a folder that belongs to one
// process at a time. What Append returned for has been synced.
//
// # Streams
//
// Messages with a sharding key share a stream of the log with those of other
// keys of their topic, 32 to a topic, by the key's hash; each queue and the
// rest of each topic have one of their own. The order is kept in each of them,
// so it is kept for each key.
//
// Entries that were appended side by side are also taken side by side: whoever
// didn't wait for one before sending the other gets no order from brokers,
// either. So a backlog goes as fast as it came.
//
// # Bytes of an entry's payload, big-endian
//
//	off  size  field
//	  0     1  version 1
//	  1     1  length of the topic
//	  2     1  length of the unique id
//	  3     8  time of birth, Unix milliseconds
//	 11     4  length of the attributes
//	 15     …  topic, unique id, attributes (JSON, see outbox.Message.Attributes), body
//
// # Damage
//
// An entry that can't be read goes into quarantine with the reason, and those
// behind it go on. A disk that fails to write ends the process through
// Options.Fatal: after a failed sync nobody knows what it has.
package local
