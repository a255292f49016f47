// Package link carries TCP connections on loopback and spoils them on demand:
// a proxy between clients and a broker, or between two replicas.
//
// Each direction of a link has a condition of its own. A direction that is cut
// holds what it gets and delivers it when it is whole again, as a network does
// whose packets are sent again; ends of connections are held as well, so that
// a process behind a cut link dies unseen. New connections are accepted while
// the link is cut, and hear nothing. Reset ends all connections at once, with
// whatever is on its way.
//
// Memory is bounded: what a direction holds back is at most queueChunks ×
// chunkBytes for each connection; then its sender is no longer read.
package link
