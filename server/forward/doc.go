// Package forward passes clients' requests from a follower of a group to its
// leader, and what the leader says back to them.
//
// A client with an old route goes on sending to the broker that was the master.
// While that machine lives, its requests reach the new one this way.
//
// # One connection for one client
//
// Each connection of a client to a follower has a connection of its own to the
// leader, opened with its first request. So the leader sees each client as
// if it had connected there: heartbeats, groups' members, queue locks and the
// order of requests need nothing more, and what the broker asks of a client or
// tells it comes back on the same way. When the client closes its connection, the link closes.
//
//	client ── conn ── follower ── link ── conn ── leader
//
// Requests are pipelined and answered in any order. A request keeps its header
// fields, body, language, version and serialization, so that the leader checks
// the client's own signature; it gets a number of the link.
//
// # How a link begins
//
// FORWARD without fields asks the leader for a challenge. A second FORWARD has
// the client's address and a proof: HMAC-SHA256 with the group's secret over the
// group's name, the challenge and the address. From then on the client's address
// is the connection's, for access control and as the host where messages are
// born. Without a secret all nodes are on one machine, and only connections
// from there are taken. A connection without proof is a client's like any other.
//
// What came over a link is never forwarded again: a node that doesn't lead any
// more answers it itself.
//
// # Without a leader
//
//	pulls, offsets of queues, messages by id and key              answered from what is applied here
//	heartbeats, unregistrations                                   noted here
//	everything else, offsets of groups among it                   waits for a leader; then 14, nothing was stored
//
// Most elections take less than the 1.2 s that requests wait, so that a client which
// sends between two leaders gets its answer from the next one. A request waits on
// the reader of its client's connection, and what comes behind it there waits
// too: so they stay in order, and nothing has to be kept. All requests of a client
// wait within the same 1.2 s. Those that come later, as in a group without
// a majority, are answered at once. A leader that can't be reached is waited for
// in the same way: others hear of its end, or of a leader that is about to
// begin, some milliseconds before this node or that one.
//
// Heartbeats are always noted here as well, by a leader, too: pulls served here
// need the subscriptions. The last one of each client is told again to the next leader,
// before the request that opens the link, so that no consumer is unknown there
// until its next heartbeat. What is about this node alone (its settings and
// statistics) is answered here.
//
// # When a link fails
//
// What was in flight is answered at once: pulls with 20, upon which clients
// pull again at the same offset, everything else with 14: outcome unknown,
// retry. So is what the leader doesn't answer in time: 2.5 s for most, which is
// before clients give up and includes what a request has waited, for pulls the time they may be held and 5 s. After a
// change of leaders links to the old one stay for 300 ms, since it still
// answers what it has.
//
// # A proxy
//
// NewProxy makes the same for a server that isn't of the group: links begin
// without FORWARD, and what can't be forwarded is left to Options.Local. Of
// pulls, held too, and of what the server asks of clients all of the above holds.
//
// # Goroutines and bounds
//
//	reader of the client's connection   Handle: encodes into the link. It opens the
//	                                    link and waits up to a second for that, and as
//	                                    long for a leader, which holds up this client only
//	reader of the link                  encodes answers into the client's connection
//	sweeper of the link                 ends late requests
//
// There is no goroutine and no queue per request. Options bound requests and
// bytes in flight; what is over them is answered with SYSTEM_BUSY. After a link
// couldn't be opened none is tried for 200 ms.
package forward
