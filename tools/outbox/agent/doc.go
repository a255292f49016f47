// Package agent is the outbox beside an application: a process on loopback that
// the application's client takes for its nameserver, and for its brokers.
//
// # What clients see
//
// A question for a route goes to the cluster's nameservers; in the answer each
// broker's address is one of the agent's: there is a door, a listener, for each.
// So clients see the brokers that there are, with their names and queues. What
// was answered last is kept in a file; it is the answer while no nameserver is in
// reach, and doors keep their ports over restarts. For a topic that nobody has
// ever told of, the agent alone is the broker.
//
// What comes in by a door goes to its broker. Sends, 10, 310 and 320, share one
// connection to it; for all else each client has a connection of its own there
// (package server/forward), so that heartbeats, pulls, locks, and what brokers
// ask of clients work as without the agent.
//
// # A send
//
//	client's reader   copies the request, has it written to the broker's
//	                  connection, with all others that have arrived, and reads on
//	broker's reader   passes the answer on as it is, with all others that have
//	                  arrived: nothing is stored here
//
// The copy is for the case that no answer comes, or that it says that nothing
// was stored (verdict.go). Then another broker of the topic gets the message, if
// one is connected, it has no sharding key, and no broker can have it already.
// Else it goes into the spool (package tools/outbox/spool), and the client
// hears SEND_OK when it is synced there. While entries of a stream wait, further
// messages for it go behind them and not to the broker.
//
// # Draining
//
// Each stream with entries has a course: a goroutine that sends them in order,
// as a batch to a broker that takes it for what it is (gather.go), else
// together only what its clients had sent together. A broker's answer "stored"
// moves the stream's mark; what is delivered runs no more than 512 entries ahead of what is
// noted. What can't be sent pauses, twice as long each time and
// with jitter; a new connection or route ends all pauses. A broker that no route
// has named for long is gone for good: its streams go to others (absence.go).
package agent
