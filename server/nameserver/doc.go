// Package nameserver tells clients which broker has which topic, as RocketMQ's
// namesrv does, and holds the broker's side of it.
//
// A Server keeps everything in memory and knows of no other nameserver: each
// broker reports to all of them, a client asks any one. What it promises:
//
//   - A broker is known from its first REGISTER_BROKER until it unregisters,
//     its connection closes, or nothing was heard of it for its timeout (120 s
//     unless the broker names another). It disappears from routes at once.
//
//   - A registration with exactly one topic, of a broker that isn't known, is
//     refused: it is a change to a table that this nameserver has never seen.
//
//   - Topics missing from a registration stay, as with RocketMQ: deleting is
//     DELETE_TOPIC_IN_NAMESRV or the end of the broker.
//
//   - Routes go out in two dialects. fastjson writes the keys of
//     Map<Long, String> without quotes, which is not JSON, and old clients
//     parse only that; clients from 4.9.4 on, and those that send
//     acceptStandardJsonOnly, get JSON. ClusterInfo and BrokerMemberGroup are
//     always in the old dialect.
//
//   - What comes in is read tolerantly in both dialects, compressed or not,
//     with a limit on everything that takes memory.
//
//   - The latest term of the master of each broker name is remembered, also
//     when nobody of that name is there any more. A master that returns asks
//     for it with GET_BROKER_MEMBER_GROUP (Locate), whose answer has the fields
//     masterTerm and masterHAAddr here; RocketMQ's nameservers know the living
//     master alone.
//
//   - Key-value configuration is what operators store here, such as the order
//     of topics over brokers. It is the one thing that brokers can't bring
//     back, so it is kept in a file where one is configured, in the format of
//     RocketMQ's kvConfig.json, replaced as a whole and synced before the
//     answer. Nameservers don't tell each other about it: tools put it to each.
//
//   - A few switches can be changed by request until the process ends; they are
//     listed, typed and bounded. Everything else, and whatever isn't known, is
//     refused with NO_PERMISSION. No request names a file.
//
// Static topics' queue mappings and filter servers are not kept, and a lost
// master's slaves are not told which of them has the lowest id.
//
// A Registrar is the broker's side: it tells every nameserver about the
// broker's topics at the start, at each change and every 30 s, and unregisters
// at the end. Each nameserver has its own goroutine and connection, so one
// that is down delays neither the broker nor the others. What nameservers
// answer about the order of topics is not taken over: how a topic is set up is
// an event in the broker's log, and nameservers may disagree.
package nameserver
