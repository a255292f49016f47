// Package log measures the log without a network: producers propose messages
// to a single node and wait for each, as a broker's connections do.
//
// # Contenders
//
//	io_uring  the engine on its ring
//	posix     the engine on pwrite and fdatasync
//	group     the floor: the same producers, what waits is one merged write
//	          (and one fdatasync in mode sync), without format, checks or index
//	raw       a write (and an fdatasync) per message, at depth 1
//	device    writes of 64 KiB, 16 in flight, without sync: once per round
//
// The floors write around in one file that was written with zeros before, past
// the page cache. The engine begins each sample with a new log. Its segments are
// files that were written to their end before, as in a log that recycles its
// segments; zero-fill leaves them alone. With fresh segments it runs ahead of the
// log within the measured time. Its bytes are counted apart in both.
//
// In the group floor a producer copies its body into the open batch under a
// lock, wakes the writer if the batch was empty, and parks on a channel of its
// own. One goroutine swaps the batch for an empty one, writes it with one
// system call, syncs with another, and sends to the channel of each producer
// in it. No thread is locked, and nothing else happens per message.
//
// A run measures every cell (size, depth, mode) with every contender, in
// rounds; the order of contenders turns with each round. Ratios are computed
// between samples of the same cell in the same round; what is printed is the
// median over the rounds.
//
// # What is counted
//
// Latency is the time from the call until the producer runs again. CPU time and
// context switches are those of the process, producers included, so they
// compare with each other and not with a broker's. Operations are counted where
// the log hands them to the disk: writes, syncs, waits for completions (each
// is one system call or none) and wake-ups from other goroutines; calls that
// the Go runtime makes for itself are not. Written bytes are what these writes
// carried, in whole blocks, over the bytes of bodies; what the process wrote
// by the kernel's own count (/proc/self/io) is reported beside them.
package log
