// Package pending is the projection of events that wait: delayed messages for
// their time, half messages for their outcome.
//
// There may be many millions of them, so they are in an embedded store
// (Pebble) and not in memory. The log is the store's write-ahead log: the store
// has none of its own, and what it says of how far it has come in the log is
// written with the entries. After a crash it is at an earlier place, and the
// log is applied again from there. It may be deleted at any time.
//
// # Which event does what
//
//	KindDelayed, KindHalf      begins to wait. Its position is its handle for life.
//	KindAsked                  a half message waits for a later time
//	KindMoved                  a copy of the waiting event stands elsewhere now
//	any event with a cause     what the cause names has ended: delivered,
//	                           committed, dropped
//
// A cause that is not in the table is passed over. That is so after a part of
// the log was trimmed: before that happens every event in it that still waits
// is moved, and a KindMoved event says all that is to be known. So a table that
// is rebuilt from what is left of the log has the same entries.
//
// # Keys and values, big-endian
//
//	'h' handle(8)                  kind(1) due(8) location(8)
//	'd' kind(1) due(8) handle(8)   location(8) bytes(4) asked(4)
//	'l' location(8)                handle(8)
//	'p'                            format(4) log id(16) frame(8) header checksum
//	                               of the frame(4) position after it(8)
//	                               delayed(8) half(8)
//
// due is offset by 1<<63, so that it sorts as a signed number. location is the
// position of the newest copy, bytes its encoded length, asked how often
// producers were asked for the outcome.
package pending
