// Package porttest finds ports for servers that tests start, stop and start
// again. Tests of several packages run at once, in processes that know nothing
// of each other: a port that is free when it is looked for may be another's when
// the server wants it, or wants it back.
//
// So a port is claimed for as long as the test runs: the UDP port of the same
// number, which no server here uses, is bound meanwhile. A claim ends with its
// process, however that dies. Ports lie below those that systems give to outgoing
// connections and to listeners that take any.
package porttest
