// Package node assembles one process from configuration: disk, engine,
// replication, broker, nameserver and admin server, in this order, and takes
// them apart in the reverse one. It is the only package that knows all others.
//
// # Node and shards
//
// A Node is the process: its ports for operators, for the nameserver and for
// peers, access control, certificates, metrics. A shard is a broker in it: a
// log in a folder, by itself or a replica of others, with the ports for
// clients, the duties of a leader, the forwarder, and its place at the
// nameservers. Each has a copy of the configuration with its own name, ports
// and folder (Config.shards).
//
// A process has one shard, or one for each folder of storePathRootDir, or with
// clusterPeers one for each peer: these are replicas of as many groups, of which
// each node leads one while it can (returner).
//
// Their metrics are written alike, with the label broker where there are several.
//
// # Configuration
//
// A Config comes from RocketMQ's .conf files (Java properties) with RocketMQ's
// key names, and from key=value pairs of the command line, which win. One table
// (settings.go) has every key with its default, what is allowed and what it
// means; parsing, checking and the documentation follow from it. Keys that
// aren't in the table are named in one warning; values that aren't allowed end
// the start, all of them named at once. Keys of RocketMQ that ask for a promise
// which this server doesn't make yet (replicas) are in the table with the one
// value that is true.
//
// # Start and stop
//
//	listen     broker and fast port answer SERVICE_NOT_AVAILABLE until the end
//	           of the start; nameserver and admin server work at once
//	open       the log is recovered and applied
//	serve      system topics exist, the broker takes requests
//	register   the nameservers know the broker; /readyz turns to 200
//
//	stop       /readyz turns to 503; leadership is given away; the broker is unregistered; held pulls are
//	           answered; requests under way are answered, connections closed;
//	           gathered offsets are stored; the log is synced and closed
//
// Shards are opened side by side, and closed side by side, before what they
// share.
package node
