package broker

import (
	"fmt"

	"github.com/apogeemq/apogee/server/remoting"
)

// handler serves one kind of request on the connection's reader goroutine.
// cmd is valid until it returns.
type handler func(rt remoting.ReplyTo, cmd *remoting.Command)

func (b *Broker) dispatchTable() map[int32]handler {
	return map[int32]handler{
		remoting.RequestSendMessage:      b.sender.handle,
		remoting.RequestSendMessageV2:    b.sender.handle,
		remoting.RequestSendBatchMessage: b.sender.handle,

		remoting.RequestPullMessage:     b.puller.handle,
		remoting.RequestLitePullMessage: b.puller.handle,

		remoting.RequestQueryConsumerOffset:         b.queryOffset,
		remoting.RequestUpdateConsumerOffset:        b.updateOffset,
		remoting.RequestSearchOffsetByTimestamp:     b.searchOffset,
		remoting.RequestGetMaxOffset:                b.maxOffset,
		remoting.RequestGetMinOffset:                b.minOffset,
		remoting.RequestGetEarliestMessageStoreTime: b.earliestTime,

		remoting.RequestHeartBeat:              b.heartbeat,
		remoting.RequestUnregisterClient:       b.unregister,
		remoting.RequestGetConsumerListByGroup: b.listConsumers,
		remoting.RequestLockBatchMQ:            b.lockQueues,
		remoting.RequestUnlockBatchMQ:          b.unlockQueues,
	}
}

// Handle serves one request.
func (b *Broker) Handle(rt remoting.ReplyTo, cmd *remoting.Command) {
	serve, known := b.handlers[cmd.Code]
	if !known {
		b.answerError(rt, &refusal{remoting.ResponseRequestCodeNotSupported,
			fmt.Sprintf(" request type %d not supported", cmd.Code)})
		return
	}
	serve(rt, cmd)
}
