// Package lock is the projection of the queues that belong to one client of a
// consumer group, which consumes them in order.
//
// # Fold
//
// event.KindLocked gives queues to a client, whoever had them;
// event.KindUnlocked takes those from the client that it has. A topic that is
// deleted takes its locks along, and so does a group.
//
// A lock says who owns a queue, not for how long: time runs for whoever leads.
// A leader that begins, or a broker that starts again, gives each owner a fresh
// lease, and states with an event when one has run out.
//
// # Goroutines
//
// The applier calls Apply, Checkpoint and Restore. All else is safe from any
// goroutine.
//
// # Checkpoint, format 1, little-endian
//
//	4  format  1
//	4  locks   number of locks; then for each, by group, topic and queue:
//	   4  length of the group's name, and the name
//	   4  topic
//	   4  queue
//	   8  since, Unix milliseconds
//	   4  length of the client's name, and the name
package lock
