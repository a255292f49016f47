// Package table is an outbox in the application's own database: a message is
// written in the transaction that makes it true, and a relay sends it when that
// transaction has committed. Neither happens without the other. PostgreSQL (11
// or later) and SQLite (3.35 or later) through database/sql, whatever the
// driver.
//
// # Guarantees
//
//   - A transaction that is rolled back leaves no message; one that commits
//     delivers each of its messages at least once.
//   - A message that is sent twice has the same unique id both times. That
//     happens when a relay dies between a send and the removal of its row, and
//     when the outcome of an attempt is unknown.
//   - Messages of one stream (sharding key, else queue, else topic) are sent in
//     the order in which they were enqueued, by one relay at a time; while one
//     can't be sent, those behind it wait. Two transactions that run side by
//     side have no order; who needs one locks something before Enqueue.
//   - Any number of relays may run side by side, in one process or many.
//   - What is refused for good is set aside in its row, with the reason, and
//     its stream goes on.
//
// # Rows
//
// Table NAME has a row per message that was not sent: it is inserted by Enqueue
// and deleted when it was sent, so the table is as long as the backlog.
//
//	id           order of the rows of one stream; never used twice
//	stream       what the message keeps its order with
//	message_id   unique id
//	topic        its topic
//	attributes   JSON, see outbox.Message.Attributes
//	body         bytes
//	born         milliseconds since 1970, the application's clock
//	enqueued     milliseconds since 1970, the database's clock
//	quarantined  when it was set aside, else NULL
//	reason       why it was set aside
//
// A stream's name of more than 200 bytes is cut, and ends with its SHA-256.
//
// # How relays share the work
//
// Table NAME_streams has a row per stream that a relay sends or that waits for
// its next attempt: who has it (owner, empty in a pause), until when (until, the
// database's clock), and the failures so far. One statement claims streams
// whose row is missing or past its time. So a claim needs no transaction that
// stays open while brokers are waited for, which would hold back PostgreSQL's
// vacuum and lock SQLite for everybody; it is the same in both databases. The
// price: streams of a relay that died wait until its claim has ended.
//
// A claim is renewed long before it ends. A relay that was stopped past that
// time and goes on sends at most what it had read; and as each relay begins at
// the first row that is left and leaves none out, the first copies of a
// stream's messages still arrive in order.
package table
