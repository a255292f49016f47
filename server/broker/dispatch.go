package broker

import (
	"maps"

	"github.com/apogeemq/apogee/server/remoting"
)

// handler serves one kind of request on the connection's reader goroutine.
// cmd is valid until it returns.
type handler func(rt remoting.ReplyTo, cmd *remoting.Command)

func (b *Broker) dispatchTable() map[int32]handler {
	table := map[int32]handler{
		remoting.RequestSendMessage:      b.sender.handle,
		remoting.RequestSendMessageV2:    b.sender.handle,
		remoting.RequestSendBatchMessage: b.sender.handle,

		remoting.RequestEndTransaction:          b.transactions.end,
		remoting.RequestResumeCheckHalfMessage:  b.transactions.resumeCheck,
		remoting.RequestSendReplyMessage:        b.sender.handleReply,
		remoting.RequestSendReplyMessageV2:      b.sender.handleReply,
		remoting.RequestConsumerSendMessageBack: b.sendBack,
		remoting.RequestRecallMessage:           b.recall,

		remoting.RequestPullMessage:     b.puller.handle,
		remoting.RequestLitePullMessage: b.puller.handle,

		remoting.RequestQueryConsumerOffset:         b.queryOffset,
		remoting.RequestUpdateConsumerOffset:        b.updateOffset,
		remoting.RequestSearchOffsetByTimestamp:     b.searchOffset,
		remoting.RequestGetMaxOffset:                b.maxOffset,
		remoting.RequestGetMinOffset:                b.minOffset,
		remoting.RequestGetEarliestMessageStoreTime: b.earliestTime,

		remoting.RequestUpdateAndCreateTopic:     b.updateTopic,
		remoting.RequestUpdateAndCreateTopicList: b.updateTopicList,
		remoting.RequestDeleteTopicInBroker:      b.deleteTopic,
		remoting.RequestGetTopicConfig:           b.showTopic,
		remoting.RequestGetAllTopicConfig:        b.showTopics,

		remoting.RequestUpdateAndCreateGroup:       b.updateGroup,
		remoting.RequestUpdateAndCreateGroupList:   b.updateGroupList,
		remoting.RequestDeleteGroup:                b.deleteGroup,
		remoting.RequestGetGroupConfig:             b.showGroup,
		remoting.RequestUpdateAndGetGroupForbidden: b.forbidGroup,
		remoting.RequestSetMessageRequestMode:      b.setConsumeMode,
		remoting.RequestGetAllGroupConfig:          b.showGroups,

		remoting.RequestGetSystemTopicListFromBroker: b.showSystemTopics,
		remoting.RequestUpdateBrokerConfig:           b.updateConfig,
		remoting.RequestGetBrokerConfig:              b.showConfig,
		remoting.RequestGetBrokerRuntimeInfo:         b.showRuntimeInfo,
		remoting.RequestGetTopicStatsInfo:            b.topicStats,
		remoting.RequestViewBrokerStatsData:          b.showStats,
		remoting.RequestGetConsumeStats:              b.consumeStats,
		remoting.RequestGetBrokerConsumeStats:        b.allConsumeStats,
		remoting.RequestQueryConsumeTimeSpan:         b.consumeTimes,
		remoting.RequestGetAllConsumerOffset:         b.showOffsets,
		remoting.RequestInvokeBrokerToResetOffset:    b.resetOffset,
		remoting.RequestCloneGroupOffset:             b.cloneOffsets,
		remoting.RequestQueryCorrectionOffset:        b.correctOffsets,
		remoting.RequestQueryConsumeQueue:            b.showQueue,
		remoting.RequestGetConsumerConnectionList:    b.showConsumers,
		remoting.RequestGetProducerConnectionList:    b.showProducers,
		remoting.RequestGetAllProducerInfo:           b.showAllProducers,
		remoting.RequestQueryTopicConsumeByWho:       b.showGroupsOfTopic,
		remoting.RequestQueryTopicsByConsumer:        b.showTopicsOfGroup,
		remoting.RequestQuerySubscriptionByConsumer:  b.showSubscription,
		remoting.RequestGetConsumerRunningInfo:       b.relayRunningInfo,
		remoting.RequestConsumeMessageDirectly:       b.relayConsumption,
		remoting.RequestInvokeBrokerToGetStatus:      b.showClientOffsets,
		remoting.RequestCleanUnusedTopic:             b.clean,
		remoting.RequestCleanExpiredConsumeQueue:     b.clean,
		remoting.RequestViewMessageByID:              b.viewMessage,
		remoting.RequestQueryMessage:                 b.queryMessage,
		remoting.RequestTrackMessage:                 b.trackMessage,
	}
	maps.Copy(table, b.clientHandlers())
	return table
}

// clientHandlers serve what clients tell about themselves.
func (b *Broker) clientHandlers() map[int32]handler {
	return map[int32]handler{
		remoting.RequestHeartBeat:              b.heartbeat,
		remoting.RequestUnregisterClient:       b.unregister,
		remoting.RequestCheckClientConfig:      b.checkClient,
		remoting.RequestGetConsumerListByGroup: b.listConsumers,
		remoting.RequestLockBatchMQ:            b.lockQueues,
		remoting.RequestUnlockBatchMQ:          b.unlockQueues,
	}
}

// Handle serves one request.
func (b *Broker) Handle(rt remoting.ReplyTo, cmd *remoting.Command) {
	if b.authorizer != nil {
		if err := b.authorizer.Authorize(rt.Conn, cmd); err != nil {
			b.answerError(rt, &refusal{remoting.ResponseNoPermission, err.Error()})
			return
		}
	}
	serve, known := b.handlers[cmd.Code]
	if !known {
		b.answerError(rt, &refusal{remoting.ResponseRequestCodeNotSupported, remoting.NotSupported(cmd.Code)})
		return
	}
	serve(rt, cmd)
}
