// Package chaos runs a real cluster under load, breaks it by a seeded
// schedule, and has package check judge what its clients saw.
//
// # A run
//
// The nodes are processes of the binary under test. Traffic comes from
// RocketMQ's Go client as it is (a producer with its default settings, a push
// consumer) and from clients of our own, where that one hides what is needed:
// lines of pipelined sends, consumers that pull each queue offset by offset,
// and one that commits offsets and asks for those of the others. All clients
// go through links that faults spoil. Everything that they do and are told is
// recorded.
//
// Faults come one after the other, each followed by a time of calm in which the
// cluster must take messages again. After the last one all is healed: sends must
// be confirmed, consumers get time to receive everything, the replicas compare
// their states, every queue is read back, the processes are asked to end, their logs are verified with the
// binary's own tool, and the history is judged.
//
// # Chance
//
// A seed decides the kinds of faults, their order, targets and lengths, and
// what each process stores on. Processes run at their own pace, so a seed
// repeats the plan of a run and not each interleaving.
//
// # Measurements
//
// Failover measures how long producers wait when a node is lost, Join how long a
// group takes to give its log to a new node, and what that costs producers.
//
// # Who owns what
//
// One goroutine walks the schedule and is the only one that touches the
// cluster; each client has goroutines of its own and sees the cluster's
// addresses only. A run ends what it started, however it ends. Its folder is
// removed unless something was wrong.
package chaos
