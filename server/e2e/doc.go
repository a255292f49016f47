// Package e2e holds the tests that need the real thing: the apogee binary as a
// process of its own, real ports on loopback, real files, and the official
// RocketMQ client for Go.
//
// # What is tested here
//
//   - What a user's program does: messages sent in every way arrive, tags
//     filter, topics come into being, a consumer goes on where it stopped.
//   - kill -9 at random moments under load: whatever was answered with SEND_OK
//     is there, once, at the offset that the answer named.
//   - kill -9 in the middle of what takes time: retries, dead letters, order,
//     delays, transactions, requests; and filters and searches after it.
//   - The same with kill -9 of a group's leader: what takes time goes on under
//     the next one, and clients reach it through the old one, which follows.
//   - SIGTERM: the process answers whatever it stores, ends with 0, and leaves a
//     log that needs no repair.
//
// Whatever can be tested inside one process is tested in the package that it
// belongs to.
//
// # How
//
// TestMain builds the binary once. Each test starts its own server in its own
// folder, on ports below those that the system gives to outgoing connections,
// so that a server can be started again where its clients look for it.
//
// A load is a set of writers that number their messages and record what they
// were told about them. After a crash every queue is read from its first
// offset on, and package bench/check judges.
//
// The moments of the kills come from a seed, which is printed:
//
//	go test ./server/e2e -run Kill -kill.seed=7 -v
//
// A process runs at its own pace, so a seed repeats the plan of a run and not
// each interleaving; -count=20 helps.
package e2e
