// Package pending is the projection of events that wait: delayed messages for
// their time, half messages for their outcome.
//
// Most of them wait for a moment: a transaction ends some milliseconds after it
// began, a delay is often a second. They are kept in memory while they are
// young, and most never leave it. There may be many millions of the others, so
// what gets older is put into an embedded store (Pebble), oldest first. Young
// ones lie in the order in which they began, which is that of their handles, so
// they are found by halving it; some 50 bytes each. What a frame ends of the
// store is read with one iterator: messages that are due at one time mostly
// began side by side.
//
// # The store and the log
//
// The log is the store's write-ahead log: the store has none of its own. What
// it says of its place in the log is written with the entries: everything that
// began to wait before that place is in the store, unless it has ended. After a
// crash the store is at an earlier place, and the log is applied again from
// there. It may be deleted at any time.
//
// What has ended is taken out of the store at once, and so are changes made,
// though its place is further back. So events may be applied to it that it has
// seen before. That does no harm: what has ended isn't there, and an entry knows
// the position of the event that changed it last.
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
// # Keys and values of the store, big-endian
//
//	'h' handle(8)                  kind(1) due(8) bytes(4), and if it has changed:
//	                               asked(4) location(8) as of(8)
//	'd' kind(1) due(8) handle(8)   bytes(4), and if it has changed:
//	                               asked(4) location(8)
//	'l' location(8)                handle(8); only of what was moved
//	'p'                            format(4) log id(16) frame(8) header checksum
//	                               of the frame(4) position after it(8)
//	                               delayed(8) half(8) sum(8), of what is in
//	                               the store
//
// due is offset by 1<<63, so that it sorts as a signed number. location is the
// position of the newest copy, bytes its encoded length, asked how often
// producers were asked for the outcome, as of the position of the event that
// changed the entry last. sum adds up a number of 64 bits for each entry, made of
// all that an Entry says: replicas compare it. A table of another format is removed
// and made anew from the log.
package pending
