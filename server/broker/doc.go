// Package broker answers the requests that RocketMQ's clients send to a
// broker. It turns them into proposals and reads of the engine; RocketMQ's
// words (queueOffset, sysFlag) stop here. It holds no state of its own that
// must survive: what must is an event in the log.
//
// # What is answered
//
//	10, 310  send a message            14  consumer offset of a group
//	    320  send a batch              15  commit an offset
//	11, 361  pull                      29  offset by time
//	     34  heartbeat                 30  next offset of a queue
//	     35  unregister a client       31  first offset of a queue
//	     38  members of a group        32  time of a queue's first message
//	 41, 42  lock, unlock queues
//
// and 40 is sent to the members of a group when the group changes. All else
// is answered with code 3, as RocketMQ does.
//
// # Goroutines
//
//	reader of a connection   Handle: parses, checks, proposes a send; answers what
//	                         needs no reading; hands all else over
//	completion of the log    Complete: puts the finished send on the replier's list
//	replier                  encodes replies to sends, one write per connection and round
//	read pool (bounded)      pulls that have data, searches by time
//	apply of the log         OnApplied: moves the pulls held for a queue to the read pool
//	hold timer               answers held pulls whose time is up
//	offset gatherer          proposes the changed offsets every commit interval
//	topic creator            proposes new topics, one creation per name at a time
//	notifier                 tells consumers that their group has changed
//	sweeper                  removes clients without heartbeats, and expired locks
//
// # What is bounded
//
// Limits has all bounds: requests in flight, held pulls, waiting reads, topic
// creations, gathered offsets, locks. A request over a bound is refused with
// SYSTEM_BUSY or FLOW_CONTROL and has changed nothing.
//
// # Where this differs from RocketMQ
//
//   - An expired pull is answered on time; there is no sweep of 5 s, since no
//     arrival can slip between reading and holding.
//   - Delayed and transactional messages are refused with MESSAGE_ILLEGAL
//     until the log has events for them: storing them as ordinary ones would
//     deliver them too early.
//   - Of a message's index keys (KEYS) the first KeysMax are indexed.
//   - A group needs no creation. Its name must have 1 to 255 legal bytes.
package broker
