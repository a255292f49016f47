// Package check judges what producers and consumers of a broker saw.
//
// A run records a history: one event for each thing that somebody outside the
// broker did or was told, in the order in which it happened to the recorder.
// Judge reads the history afterwards and says which promises were broken, with
// the events that show it. The package knows no clients, processes or faults;
// it takes their word for what they saw.
//
// # What must hold
//
//   - Nothing confirmed is lost: a message whose send ended with SEND_OK is
//     read back at the end, in the queue, at the offset and at the position of
//     the receipt.
//   - What a consumer has seen stays: it is read back where it was seen.
//   - What was refused isn't there: a refusal promises that nothing was stored.
//   - Nothing is there that was not sent, and nothing more often than its
//     producer may have sent it. Copies within that limit are counted.
//   - A queue keeps the order of time: of two messages in it, the one whose
//     send began after the other's had been confirmed stands behind it. A
//     writer that is a Line (one connection, no resends) has all its messages
//     of a queue in the order of their numbers.
//   - Offsets of a queue are dense and never used again: they are read back
//     from the first to the last without a gap, positions grow and store times
//     don't shrink. Since every place that somebody was told is compared with
//     what stands there in the end, an offset given twice shows.
//   - A consumer that pulls gets each offset after the one before it.
//   - Copies of a queue on several replicas are the same.
//   - A consumer's offset that was confirmed is never lost, and with it all
//     that could be read before its commit began: offsets are stored in the
//     order in which they came. What was read is firm after a second without a
//     fault. While there is no fault an offset that was read doesn't go back at
//     all, unless leadership may move by itself.
//   - Everything confirmed arrives: once the run says that consumers have had
//     their time, each confirmed message has been received.
//
// The longest time without SEND_OK is measured for each source of sends. It
// begins with the source's first send, and a gap that is open when the load
// ends counts.
//
// # The history
//
//	magic    "apogee history 1\n"
//	event    kind byte · microseconds since the event before · fields of the kind
//
// Numbers are unsigned varints, texts are a length and bytes. An event takes
// about ten bytes.
//
// # Memory
//
// Judging takes 18 bytes for each message that was sent, and little else: the
// history is read twice, once for the verdict and, when something is wrong,
// once more for the events to show.
package check
