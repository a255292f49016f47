// Package track finds out what has become of a message, for each group that
// consumes its topic. All it says is taken from events in the log, so it needs
// no trace topic, goes back as far as the log does, and is the same after a
// restart. What no event tells it calls not recorded.
//
// # Acknowledgment
//
// A group has acknowledged a message when its offset in the message's queue has
// passed it. Each event with a commit carries event.CommitHash of group and
// queue, and event.RestartHash where the commit doesn't go on from the one
// before. Since the last such restart the offsets only go up, so the commit that
// passed the message is found by halving the log, with some dozens of look-ups
// in the index. Nothing is kept for that but 16 bytes of index for a commit.
//
// # Tries and dead letters
//
// A message that a consumer sends back is stored again, with its unique key and
// the id of the original: while it waits, under the key in the topic that it
// waits in; then under the key in the group's retry topic, or among its dead
// letters. So they are found by that key. Each try is acknowledged, or not, in
// its own queue. A message without a unique key can't be followed there.
//
// # Deliveries
//
// Of groups with the attribute trackDelivery the ranges of offsets that were
// sent are events (event.KindDelivered), each with event.DeliveryHash of the
// blocks of 1024 offsets in it. So the deliveries of a message are among the few
// events of its block.
//
// # What is not recorded
//
// Broadcasting consumers keep their offsets themselves, and consumers that pull
// may commit nothing: whether they have consumed a message is not in the log.
// Whether a message was delivered isn't either, but for groups that want it.
package track
