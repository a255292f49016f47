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
//	     36  send back a message       30  next offset of a queue
//	     37  end a transaction         31  first offset of a queue
//	324, 325 reply to a request        32  time of a queue's first message
//	    370  recall a delayed message  33  message by its position
//	     34  heartbeat                 12  messages by key
//	     35  unregister a client       38  members of a group
//	     46  check a client's filter   41, 42  lock, unlock queues
//
// and what administrators ask for:
//
//	 17, 18  change topics         202, 303  messages of a topic, times
//	    215  delete a topic        208, 317  progress of groups
//	21, 351  topics                      43  all offsets
//	    305  system topics              222  reset offsets
//	200, 225 change groups         203, 204  online consumers, producers
//	    207  delete a group             328  all producers
//	201, 352 groups           300, 343, 345  who consumes what
//	 26, 25  settings, some live   307, 309  passed on to a client
//	     28  state of the broker        223  offsets that clients hold
//	    353  forbid a topic        314, 308  clone, correct offsets
//	    401  mode: all groups pull      321  entries of a queue
//	306, 316 clean: nothing to do       315  statistics
//
// To clients it sends 40 when their group changes, 39 to ask for the outcome of
// a transaction, 326 with a reply to their request, and what administrators ask
// of them. All other codes are answered with 3, as RocketMQ does.
//
// # Goroutines
//
//	reader of a connection   Handle: parses, checks, proposes a send; answers what
//	                         needs no reading; hands all else over
//	completion of the log    Complete: puts the finished send on the replier's list
//	rate sampler             remembers the totals of the last ten minutes
//	relays (bounded)         wait for the answers of clients
//	early (bounded)          requests that wait for the message they name
//	replier                  encodes replies to sends, one write per connection and round
//	read pool (bounded)      pulls that have data, searches by time, statistics
//	apply of the log         OnApplied: moves the pulls held for a queue to the read pool
//	hold timer               answers held pulls whose time is up
//	offset gatherer          proposes the changed offsets every commit interval
//	registry                 decides and proposes what changes topics and groups
//	notifier                 tells consumers that their group has changed
//	sweeper                  removes clients without heartbeats, and expired locks
//
// # What is bounded
//
// Limits has all bounds: requests in flight, held pulls, waiting reads, changes
// of topics and groups, gathered offsets, resets, locks, relays. A request over
// a bound is refused with SYSTEM_BUSY or FLOW_CONTROL and has changed nothing.
// Of a list of topics or groups a part may then have been changed.
//
// # Where this differs from RocketMQ
//
//   - An expired pull is answered on time; there is no sweep of 5 s, since no
//     arrival can slip between reading and holding.
//   - A transaction ends once, by the position and the unique key of its half
//     message, and the second end of one is told so.
//   - A message is sent back by its position only if it is of the topic that
//     the request names, or of the group's retry topic.
//   - Delayed messages keep their millisecond (package delay), and a recall
//     tells whether the message waited.
//   - Of a message's index keys (KEYS) the first record.KeysMax are indexed.
//   - To show a group (352) doesn't create it.
//   - A commit for a group that is not there creates the group where first use
//     does (autoCreateSubscriptionGroup); RocketMQ refuses it.
//   - A pull that picks up a reset offset commits nothing, so an old offset
//     that it carries can't undo the reset.
//   - Whether a consumer has picked up a reset is not in the log.
//   - A held pull picks up a reset at once; RocketMQ's waits until it ends.
//   - Offsets are reset on the broker, as RocketMQ 5 does by default: 220 is
//     not sent to clients.
//   - Settings that 25 changes hold until the process ends; those outside the
//     list are refused with NO_PERMISSION. Routes show the changed permission.
//   - All groups pull: 401 refuses POP rather than to keep a mode without effect.
package broker
