package broker

import "github.com/apogeemq/apogee/server/remoting"

// clean answers CLEAN_UNUSED_TOPIC and CLEAN_EXPIRED_CONSUMEQUEUE. RocketMQ has
// files per queue that may outlive their topic or their messages. Here queues
// are part of the index of a segment and go with it, so there is never
// anything left to clean.
func (b *Broker) clean(rt remoting.ReplyTo, _ *remoting.Command) { answer(rt) }
