package broker

import (
	"bytes"
	"encoding/json"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/server/remoting"
)

// groupConfigBody is RocketMQ's SubscriptionGroupConfig. Its members are in
// the order in which fastjson writes them.
type groupConfigBody struct {
	Attributes     map[string]string `json:"attributes"`
	BrokerID       int64             `json:"brokerId"`
	Broadcast      bool              `json:"consumeBroadcastEnable"`
	Consume        bool              `json:"consumeEnable"`
	FromMin        bool              `json:"consumeFromMinEnable"`
	Orderly        bool              `json:"consumeMessageOrderly"`
	TimeoutMinutes int32             `json:"consumeTimeoutMinute"`
	Name           string            `json:"groupName"`
	RetryPolicy    json.RawMessage   `json:"groupRetryPolicy"`
	SystemFlag     int32             `json:"groupSysFlag"`
	Notify         bool              `json:"notifyConsumerIdsChangedEnable"`
	RetryMax       int32             `json:"retryMaxTimes"`
	RetryQueues    int32             `json:"retryQueueNums"`
	Subscriptions  json.RawMessage   `json:"subscriptionDataSet,omitempty"`
	BrokerWhenSlow int64             `json:"whichBrokerWhenConsumeSlowly"`
}

func groupBodyOf(s GroupSettings) groupConfigBody {
	b := groupConfigBody{
		Attributes: s.Attributes, BrokerID: s.BrokerID, Broadcast: s.BroadcastEnable, Consume: s.ConsumeEnable, FromMin: s.FromMinEnable,
		Orderly: s.Orderly, TimeoutMinutes: s.TimeoutMinutes, Name: s.Name, RetryPolicy: json.RawMessage(s.RetryPolicy),
		SystemFlag: s.SystemFlag, Notify: s.NotifyEnable, RetryMax: s.RetryMax, RetryQueues: s.RetryQueues,
		Subscriptions: json.RawMessage(s.Subscriptions), BrokerWhenSlow: s.BrokerWhenSlow,
	}
	if b.Attributes == nil {
		b.Attributes = map[string]string{}
	}
	return b
}

// settings checks what a client asks for.
func (g *groupConfigBody) settings() (GroupSettings, []attributeEdit, error) {
	s := GroupSettings{
		Name: g.Name, ConsumeEnable: g.Consume, FromMinEnable: g.FromMin, BroadcastEnable: g.Broadcast, Orderly: g.Orderly,
		NotifyEnable: g.Notify, RetryQueues: g.RetryQueues, RetryMax: g.RetryMax, TimeoutMinutes: g.TimeoutMinutes,
		SystemFlag: g.SystemFlag, BrokerID: g.BrokerID, BrokerWhenSlow: g.BrokerWhenSlow,
		RetryPolicy: compactJSON(g.RetryPolicy), Subscriptions: compactJSON(g.Subscriptions),
	}
	if s.RetryPolicy == "" {
		s.RetryPolicy = defaultRetryPolicy
	}
	if err := checkAdministeredGroup(g.Name); err != nil {
		return s, nil, err
	}
	if s.RetryQueues > topicQueuesMax {
		return s, nil, refuse(remoting.ResponseInvalidParameter, "retryQueueNums is %d, at most %d are allowed", s.RetryQueues, topicQueuesMax)
	}
	edits, err := attributeEdits(g.Attributes)
	return s, edits, err
}

// compactJSON is a value without white space, "" for null.
func compactJSON(value json.RawMessage) string {
	var compact bytes.Buffer
	if json.Compact(&compact, value) != nil || compact.String() == "null" {
		return ""
	}
	return compact.String()
}

// readGroupBody reads one group; members that are left out have their defaults.
func readGroupBody(body []byte) (groupConfigBody, error) {
	g := groupBodyOf(defaultGroup(""))
	if err := json.Unmarshal(body, &g); err != nil {
		return g, refuse(remoting.ResponseInvalidParameter, "the group's configuration can't be read: %v", err)
	}
	return g, nil
}

// updateGroup answers UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, when the change is
// applied. RocketMQ takes a body without a group as done.
func (b *Broker) updateGroup(rt remoting.ReplyTo, cmd *remoting.Command) {
	if trimmed := bytes.TrimSpace(cmd.Body); len(trimmed) == 0 || string(trimmed) == "null" {
		answer(rt)
		return
	}
	g, err := readGroupBody(cmd.Body)
	if err != nil {
		b.answerError(rt, err)
		return
	}
	b.updateGroups(rt, []groupConfigBody{g})
}

// updateGroupList answers UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST, when all
// changes are applied. None is made if one is not allowed.
func (b *Broker) updateGroupList(rt remoting.ReplyTo, cmd *remoting.Command) {
	groups, err := readChangeList(cmd.Body, "groupConfigList", readGroupBody)
	if err != nil {
		b.answerError(rt, err)
		return
	}
	b.updateGroups(rt, groups)
}

func (b *Broker) updateGroups(rt remoting.ReplyTo, groups []groupConfigBody) {
	changeAll(b, rt, groups, (*groupConfigBody).settings, b.registry.updateGroup)
}

// deleteGroup answers DELETE_SUBSCRIPTIONGROUP, when the group is gone.
func (b *Broker) deleteGroup(rt remoting.ReplyTo, cmd *remoting.Command) {
	deletion := event.GroupDeletion{Name: cmd.Text("groupName"), Offsets: cmd.Bool("cleanOffset")}
	if err := deletion.Validate(); err != nil {
		b.answerError(rt, refuse(remoting.ResponseInvalidParameter, "%v", err))
		return
	}
	b.registry.deleteGroup(deletion, b.answerAfter(rt, 1))
}

// showGroup answers GET_SUBSCRIPTIONGROUP_CONFIG.
func (b *Broker) showGroup(rt remoting.ReplyTo, cmd *remoting.Command) {
	g, found := b.groups.Get(cmd.Text("group"))
	if !found {
		b.answerError(rt, refuse(remoting.ResponseGroupNotExist, "No group in this broker"))
		return
	}
	b.answerJSON(rt, groupBodyOf(groupSettingsOf(g)))
}

// showGroups answers GET_ALL_SUBSCRIPTIONGROUP_CONFIG.
func (b *Broker) showGroups(rt remoting.ReplyTo, cmd *remoting.Command) {
	version := b.versionOf(b.groups.Version()) // first: a later change gives a later version
	all := b.groups.All()
	from, to := page(cmd, "groupSeq", "maxGroupNum", version, len(all))
	body := struct {
		DataVersion dataVersion                `json:"dataVersion"`
		Forbidden   map[string]map[string]int  `json:"forbiddenTable"`
		Groups      map[string]groupConfigBody `json:"subscriptionGroupTable"`
	}{DataVersion: version, Forbidden: forbiddenTable(all[from:to]), Groups: make(map[string]groupConfigBody, to-from)}
	for _, g := range all[from:to] {
		body.Groups[g.Config.Name] = groupBodyOf(groupSettingsOf(g))
	}
	var reply remoting.Reply
	reply.SetInt("totalGroupNum", int64(len(all)))
	b.answerJSONWith(rt, &reply, body)
}
