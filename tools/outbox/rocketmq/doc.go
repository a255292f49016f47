// Package rocketmq sends an outbox's messages with the official Go client,
// rocketmq-client-go/v2. It is a package of its own so that only programs
// which use that client link it.
//
// # Attempts
//
// The client's own retries are off: after them nobody could tell whether the
// first of them was stored. A message without a sharding key and without a
// queue is tried at another broker of its topic when one has not accepted it,
// as long as there is time; the others are not, as they would change places.
//
// # What the client's answers mean
//
//	answer                                          class
//	SEND_OK                                         delivered
//	FLUSH_DISK_TIMEOUT, FLUSH_SLAVE_TIMEOUT,        delivered: the broker has the message and will deliver
//	SLAVE_NOT_AVAILABLE                             it. Receipt.Status tells that it is less safe than was
//	                                                configured; a second copy would not change that
//	codes 13 MESSAGE_ILLEGAL, 29 INVALID_PARAMETER  refused for good
//	codes 2 SYSTEM_BUSY, 14 SERVICE_NOT_AVAILABLE,  not accepted
//	16 NO_PERMISSION, 17 TOPIC_NOT_EXIST,
//	215 FLOW_CONTROL
//	code 14 with the remark "outcome unknown"       in doubt
//	no route, no such queue, connection refused,    not accepted
//	producer not running
//	timeout, connection lost, anything else         in doubt
//
// Rights and topics can be given, so their lack isn't final.
//
// # What goes along
//
// The unique id is the message's UNIQ_KEY, so MsgId for consumers. The client
// stamps each send with the present as its time of birth; the original is in
// the property BORN_TIMESTAMP, in milliseconds, as RocketMQ's proxy has it.
package rocketmq
