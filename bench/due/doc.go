// Package due measures what a broker does when many delayed messages become due
// at one time: how long it takes until all are in their queues, and what that
// does to the sends beside them.
//
// # A run
//
// Plain messages are sent at a fixed rate, and pulled, as package e2e does;
// latencies count from the time at which each send was due. Then delayed
// messages are stored that are all due at one millisecond, the worst case of a
// full second. Shortly before it the plain load begins again, and its measured
// time begins with them. Meanwhile the ends of their topic's queues are asked for
// every 20 ms: that tells when the last one is there, and if one came early.
package due
