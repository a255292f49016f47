// Package nameserver tells clients which broker has which topic, as RocketMQ's
// namesrv does, and holds the broker's side of it.
//
// A Server keeps everything in memory and knows of no other nameserver: each
// broker reports to all of them, a client asks any one. What it promises:
//
//   - A broker is known from its first REGISTER_BROKER until it unregisters,
//     its connection closes, or nothing was heard of it for its timeout (120 s
//     unless the broker names another). It disappears from routes at once.
//   - A registration with exactly one topic, of a broker that isn't known, is
//     refused: it is a change to a table that this nameserver has never seen.
//   - Topics missing from a registration stay, as with RocketMQ: deleting is
//     DELETE_TOPIC_IN_NAMESRV or the end of the broker.
//   - Routes go out in two dialects. fastjson writes the keys of
//     Map<Long, String> without quotes, which is not JSON, and old clients
//     parse only that; clients from 4.9.4 on, and those that send
//     acceptStandardJsonOnly, get JSON. ClusterInfo and BrokerMemberGroup are
//     always in the old dialect.
//   - What comes in is read tolerantly in both dialects, compressed or not,
//     with a limit on everything that takes memory.
//
// Key-value configuration, static topics' queue mappings and filter servers
// are not kept: the requests for the first answer "not supported".
//
// A Registrar is the broker's side: it tells every nameserver about the
// broker's topics at the start, at each change and every 30 s, and unregisters
// at the end. Each nameserver has its own goroutine and connection, so one
// that is down delays neither the broker nor the others.
package nameserver
