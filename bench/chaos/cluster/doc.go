// Package cluster starts real clusters for fault runs: processes of the apogee
// binary on loopback, with a link between each of them and its clients.
//
// A Topology is data: how many nodes there are and what each is told. Nodes
// listen on 127.0.0.1; clients are told an address on 127.0.1.x with the same
// port, where a link of this process listens. Linux has these addresses; other
// systems need them as aliases of the loopback interface.
//
// A process may be started on one of several media: on the best I/O path of the
// machine, on plain system calls, or on a disk that forgets with the process
// what was not synced. All of them take fault rules for the disk, and a shift of
// the clock, from the operators' port, which only processes do whose
// environment asks for that.
//
// A cluster ends the processes that it started and no others.
package cluster
