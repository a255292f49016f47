// Package load sends to and pulls from a RocketMQ-compatible broker as fast
// as the broker answers, and measures it.
//
// # The loop
//
// The load is closed: a fixed number of requests is in flight, and a reply
// lets the next request go. One goroutine serves one connection: it waits for
// replies, records each, puts the next request for each into one buffer, and
// writes that buffer once. Frames are encoded before the run; per request
// opaque, born time and unique key are patched in a copy. Nothing is
// allocated per message, since generator and broker mostly share a machine.
//
// Latency is the time from the write of a request until the read that brought
// its reply; it is recorded per request (a batch is one), in a histogram of
// three significant digits. What completes during warm-up is not counted.
//
// # What is counted
//
// A send is stored when its reply has code 0, 10, 11 or 12; every other code
// is an error and is reported by code with the first remark. A pull checks
// every record it gets: lengths that add up, the queue, and queue offsets
// without gaps.
//
// With a process id the run also reads /proc: CPU time of that process
// (without its children) per message, and its resident memory ten times a
// second. On systems without /proc that part fails with a clear error.
package load
