package access

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/apogeemq/apogee/server/remoting"
)

// requirement is what an account needs for a kind of request. The zero value
// needs nothing: any account will do.
type requirement struct {
	fields []fieldNeed
	// body checks what the body is about.
	body func(body []byte, a *account) error
}

// fieldNeed is a permission for what a header field names.
type fieldNeed struct {
	field    string
	group    bool
	needed   permission
	optional bool // the field may be absent
}

func topicIn(field string, needed permission) fieldNeed {
	return fieldNeed{field: field, needed: needed}
}

func groupIn(field string) fieldNeed {
	return fieldNeed{field: field, group: true, needed: sub}
}

func (f fieldNeed) ifThere() fieldNeed {
	f.optional = true
	return f
}

func needs(fields ...fieldNeed) requirement { return requirement{fields: fields} }

// requirements is every request that isn't an administrator's alone.
var requirements = map[int32]requirement{
	remoting.RequestSendMessage:        needs(topicIn("topic", pub)),
	remoting.RequestSendMessageV2:      needs(topicIn("b", pub)),
	remoting.RequestSendBatchMessage:   needs(topicIn("b", pub)),
	remoting.RequestSendReplyMessage:   needs(topicIn("topic", pub)),
	remoting.RequestSendReplyMessageV2: needs(topicIn("b", pub)),
	remoting.RequestEndTransaction:     needs(topicIn("topic", pub).ifThere()),
	remoting.RequestRecallMessage:      needs(topicIn("topic", pub)),

	remoting.RequestPullMessage:             needs(topicIn("topic", sub), groupIn("consumerGroup")),
	remoting.RequestLitePullMessage:         needs(topicIn("topic", sub), groupIn("consumerGroup")),
	remoting.RequestQueryConsumerOffset:     needs(topicIn("topic", sub), groupIn("consumerGroup")),
	remoting.RequestUpdateConsumerOffset:    needs(topicIn("topic", sub), groupIn("consumerGroup")),
	remoting.RequestConsumerSendMessageBack: needs(topicIn("originTopic", sub), groupIn("group")),
	remoting.RequestGetConsumerListByGroup:  needs(groupIn("consumerGroup")),
	remoting.RequestUnregisterClient:        needs(groupIn("consumerGroup").ifThere()),
	remoting.RequestHeartBeat:               {body: heartbeatNeeds},
	remoting.RequestCheckClientConfig:       {},
	remoting.RequestLockBatchMQ:             {body: queueNeeds},
	remoting.RequestUnlockBatchMQ:           {body: queueNeeds},

	remoting.RequestPopMessage:          needs(topicIn("topic", sub), groupIn("consumerGroup")),
	remoting.RequestAckMessage:          needs(topicIn("topic", sub), groupIn("consumerGroup")),
	remoting.RequestChangeInvisibleTime: needs(topicIn("topic", sub), groupIn("consumerGroup")),
	remoting.RequestNotification:        needs(topicIn("topic", sub), groupIn("consumerGroup")),
	remoting.RequestPollingInfo:         needs(topicIn("topic", sub), groupIn("consumerGroup")),
	remoting.RequestPeekMessage:         needs(topicIn("topic", sub), groupIn("consumerGroup")),
	remoting.RequestQueryAssignment:     {body: assignmentNeeds},

	remoting.RequestSearchOffsetByTimestamp:     needs(topicIn("topic", anyOf)),
	remoting.RequestGetMaxOffset:                needs(topicIn("topic", anyOf)),
	remoting.RequestGetMinOffset:                needs(topicIn("topic", anyOf)),
	remoting.RequestGetEarliestMessageStoreTime: needs(topicIn("topic", anyOf)),
	remoting.RequestQueryMessage:                needs(topicIn("topic", sub)),
	remoting.RequestGetTopicConfig:              needs(topicIn("topic", anyOf)),
	remoting.RequestGetTopicStatsInfo:           needs(topicIn("topic", anyOf)),
	remoting.RequestQueryTopicConsumeByWho:      needs(topicIn("topic", anyOf)),
	remoting.RequestGetGroupConfig:              needs(groupIn("group")),
	remoting.RequestGetConsumeStats:             needs(groupIn("consumerGroup")),
	remoting.RequestGetConsumerConnectionList:   needs(groupIn("consumerGroup")),
	remoting.RequestQueryTopicsByConsumer:       needs(groupIn("group")),
	remoting.RequestQuerySubscriptionByConsumer: needs(groupIn("group")),
	remoting.RequestQueryConsumeTimeSpan:        needs(topicIn("topic", sub), groupIn("group")),

	remoting.RequestGetRouteInfoByTopic:          {},
	remoting.RequestGetBrokerClusterInfo:         {},
	remoting.RequestGetBrokerMemberGroup:         {},
	remoting.RequestGetAllTopicList:              {},
	remoting.RequestGetTopicsByCluster:           {},
	remoting.RequestGetSystemTopicListFromNS:     {},
	remoting.RequestGetUnitTopicList:             {},
	remoting.RequestGetSystemTopicListFromBroker: {},
	remoting.RequestGetHasUnitSubTopicList:       {},
	remoting.RequestGetHasUnitSubUnunitTopics:    {},
	remoting.RequestGetKVConfig:                  {},
	remoting.RequestGetKVListByNamespace:         {},
}

// check checks everything that a request is about.
func (r requirement) check(cmd *remoting.Command, a *account) error {
	for _, f := range r.fields {
		name, _ := cmd.Get(f.field)
		of, needed := topicNamed(name), f.needed
		if f.group {
			of = groupNamed(name)
		}
		if of.group { // whoever is in a group sends to its retry topic, too
			needed = sub
		}
		switch {
		case len(name) == 0 && f.optional:
			continue
		case len(name) == 0:
			return fmt.Errorf("the request names no %s: header field %s is missing", kindOf(f.group), f.field)
		}
		if err := a.permits(of, needed); err != nil {
			return err
		}
	}
	if r.body != nil {
		return r.body(cmd.Body, a)
	}
	return nil
}

// bodyBytesMax bounds the bodies that are looked into: a client with thousands
// of subscriptions has less.
const bodyBytesMax = 4 << 20

var errUnreadable = errors.New("the request's body can't be read")

func decode(body []byte, to any) error {
	if len(body) > bodyBytesMax || json.Unmarshal(body, to) != nil {
		return errUnreadable
	}
	return nil
}

// heartbeatNeeds: a consumer joins its groups and reads its topics.
func heartbeatNeeds(body []byte, a *account) error {
	var h struct {
		Consumers []struct {
			Group         string `json:"groupName"`
			Subscriptions []struct {
				Topic string `json:"topic"`
			} `json:"subscriptionDataSet"`
		} `json:"consumerDataSet"`
	}
	if err := decode(body, &h); err != nil {
		return err
	}
	for _, c := range h.Consumers {
		if err := a.permits(groupNamed([]byte(c.Group)), sub); err != nil {
			return err
		}
		for _, s := range c.Subscriptions {
			if err := a.permits(topicNamed([]byte(s.Topic)), sub); err != nil {
				return err
			}
		}
	}
	return nil
}

// queueNeeds: a consumer locks queues for its group.
func queueNeeds(body []byte, a *account) error {
	var b struct {
		Group  string `json:"consumerGroup"`
		Queues []struct {
			Topic string `json:"topic"`
		} `json:"mqSet"`
	}
	if err := decode(body, &b); err != nil {
		return err
	}
	if err := a.permits(groupNamed([]byte(b.Group)), sub); err != nil {
		return err
	}
	for _, q := range b.Queues {
		if err := a.permits(topicNamed([]byte(q.Topic)), sub); err != nil {
			return err
		}
	}
	return nil
}

// assignmentNeeds: a consumer asks which queues of a topic are its own.
func assignmentNeeds(body []byte, a *account) error {
	var b struct {
		Topic string `json:"topic"`
		Group string `json:"consumerGroup"`
	}
	if err := decode(body, &b); err != nil {
		return err
	}
	if err := a.permits(topicNamed([]byte(b.Topic)), sub); err != nil {
		return err
	}
	return a.permits(groupNamed([]byte(b.Group)), sub)
}
