// Package outbox measures the outbox's agent: what forwarding through it costs,
// how fast it keeps messages while the broker is away, and how fast it sends
// them on when the broker is back.
//
// One run has everything side by side, on loopback: a server of its own, an agent
// before it, and a topic of 64 queues. Rows that forward come in pairs, direct
// and through the agent, so that ratios hold on a busy machine, too.
//
//	one         one connection, one send in flight
//	apart       64 connections, one send in flight each: nothing can be gathered
//	            on the client's side
//	shared      4 connections, 64 sends in flight each, as the threads of an
//	            application share the one connection that its client has
//	spooling    64 connections, 16 sends in flight each, with the server killed:
//	            every answer is synced here
//	draining    the server is back: from the first message that is sent on until
//	            nothing waits; how long the agent took to notice stands beside it
//
// CPU time is user and system time of the process by the kernel's count, for each message.
package outbox
