// Package outbox measures the outbox's agent: what forwarding through it costs,
// how fast it keeps messages while the broker is away, and how fast it sends
// them on when the broker is back.
//
// One run has everything side by side, on loopback: a server of its own, an agent
// before it, and one connection for each of 64 queues. Rows come in pairs, direct
// and through the agent, so that ratios hold on a busy machine, too.
//
//	latency     one connection, one send in flight: median of each
//	rate        64 connections, one send in flight each; CPU time of the agent
//	            and of the server for each message
//	spooling    the same with the server killed: every answer is synced here
//	draining    from the server's return until nothing waits
package outbox
