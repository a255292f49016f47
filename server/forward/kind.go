package forward

import "github.com/apogeemq/apogee/server/remoting"

// kind says what a follower does with a request.
type kind uint8

const (
	// change is the leader's alone, and what nobody knows. Offsets of groups are
	// among it: a consumer that starts would be sent back by as much as this node
	// has missed.
	change       kind = iota
	read              // from applied state: without a leader it is answered here
	pull              // a read that may be held
	registration      // what a client says about itself
	ofThisNode        // never forwarded
)

// kindForProxy knows no requests that only the server itself can answer.
func kindForProxy(code int32) kind {
	switch k := kindInGroup(code); k {
	case pull, registration:
		return k
	}
	return read
}

func kindInGroup(code int32) kind {
	switch code {
	case remoting.RequestPullMessage, remoting.RequestLitePullMessage:
		return pull
	case remoting.RequestHeartBeat, remoting.RequestUnregisterClient:
		return registration
	case remoting.RequestSearchOffsetByTimestamp, remoting.RequestGetMaxOffset,
		remoting.RequestGetMinOffset, remoting.RequestGetEarliestMessageStoreTime, remoting.RequestViewMessageByID,
		remoting.RequestQueryMessage, remoting.RequestTrackMessage, remoting.RequestCheckClientConfig,
		remoting.RequestGetTopicConfig, remoting.RequestGetAllTopicConfig, remoting.RequestGetGroupConfig,
		remoting.RequestGetAllGroupConfig, remoting.RequestGetSystemTopicListFromBroker, remoting.RequestGetTopicStatsInfo,
		remoting.RequestQueryConsumeQueue:
		return read
	case remoting.RequestGetBrokerConfig, remoting.RequestUpdateBrokerConfig, remoting.RequestGetBrokerRuntimeInfo,
		remoting.RequestViewBrokerStatsData, remoting.RequestCleanUnusedTopic, remoting.RequestCleanExpiredConsumeQueue:
		return ofThisNode
	}
	return change
}
