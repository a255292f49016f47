// Package baseline runs Apache RocketMQ, the floor and Apogee under the same
// loads in one run, and writes the comparison into the documentation. On a
// shared or virtual machine absolute numbers mean little; ratios of numbers
// taken side by side do.
//
// # A run
//
// A round starts every server anew in an empty directory, notes how long it
// takes until it serves and what memory it holds when idle, and lets the
// brokers warm up under load. Then each row of the table is measured on one server after
// the other (A B C, A B C, …) before the next row. While one server is under
// load all others are stopped by SIGSTOP, so they take no CPU time and stay
// warm, and the file systems are synced before each load, so that no server
// pays for the dirty pages of another. At the end of the round all servers
// end and their data is removed.
//
// Rows about large amounts (a backlog larger than every cache, a hundred
// thousand queues) are measured on Apogee alone, against its own rows without
// them. They share two servers that are started when the first of them comes:
// one that has the backlog and was killed and started again, one for the queues.
//
// A ratio is taken within a round; the table has the median of the rounds and
// the range.
//
// The servers are child processes in process groups of their own. They listen
// on loopback and are ended however the run ends, also by an interrupt.
package baseline
