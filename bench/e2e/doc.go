// Package e2e measures how long messages take from producer to consumer, at
// fixed rates.
//
// # Open loop
//
// Message k of a run is due at the k-th part of the rate after the start,
// whatever happened to the messages before it. Every latency is counted from
// the time at which the message was due, not from the time at which it could be
// sent: if the broker, the network or this generator stalls, all messages that
// became due meanwhile have waited, and are counted so. (Without that a stall of
// a second is one slow message among thousands of fast ones: coordinated
// omission.)
//
//	send latency   due → the answer to the send has arrived
//	end to end     due → the consumer has the message
//	lateness       due → handed to the connection: what the generator itself adds
//
// # Parts
//
// Each producer connection has a thread that sleeps until its next message is
// due. Each consumer connection has one long poll under way for each of its
// queues, as push consumers do. Both sides are in this process and use one
// monotonic clock; the due time and a number travel in the body. Messages that
// are due during warm-up are not counted.
//
// A rate that the broker can't hold shows as latencies that grow with the
// length of the run, and as messages that are missing when the time for the
// rest is over.
package e2e
