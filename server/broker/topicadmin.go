package broker

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/apogeemq/apogee/server/remoting"
)

// Bounds of what a request may make of a topic.
const (
	topicQueuesMax      = 1 << 16
	topicPermissionsMax = 1<<4 - 1 // all bits of PermName
)

// topicConfigBody is RocketMQ's TopicConfig. Its members are in the order in
// which fastjson writes them.
type topicConfigBody struct {
	Attributes  map[string]string `json:"attributes"`
	Ordered     bool              `json:"order"`
	Permission  int64             `json:"perm"`
	ReadQueues  int64             `json:"readQueueNums"`
	FilterType  string            `json:"topicFilterType"`
	Name        string            `json:"topicName"`
	SystemFlag  int32             `json:"topicSysFlag"`
	WriteQueues int64             `json:"writeQueueNums"`
}

// newTopicConfigBody has the defaults of members that a request leaves out.
func newTopicConfigBody() topicConfigBody {
	return topicConfigBody{Permission: PermissionRead | PermissionWrite, ReadQueues: 16, WriteQueues: 16, FilterType: filterTypeSingleTag}
}

func topicBodyOf(s TopicSettings) topicConfigBody {
	b := topicConfigBody{
		Attributes: s.Attributes, Ordered: s.Ordered, Permission: int64(s.Permission), ReadQueues: int64(s.ReadQueues),
		FilterType: s.FilterType, Name: s.Name, SystemFlag: s.SystemFlag, WriteQueues: int64(s.WriteQueues),
	}
	if b.Attributes == nil {
		b.Attributes = map[string]string{}
	}
	return b
}

// settings checks what a client asks for, in RocketMQ's order.
func (t *topicConfigBody) settings(c *Config) (TopicSettings, []attributeEdit, error) {
	var none TopicSettings
	if err := c.checkAdministeredTopic(t.Name); err != nil {
		return none, nil, err
	}
	for _, queues := range []int64{t.ReadQueues, t.WriteQueues} {
		if queues < 0 || queues > topicQueuesMax {
			return none, nil, refuse(remoting.ResponseInvalidParameter, "topic[%s] can't have %d queues, 0 to %d are allowed", t.Name, queues, topicQueuesMax)
		}
	}
	if t.Permission < 0 || t.Permission > topicPermissionsMax {
		return none, nil, refuse(remoting.ResponseInvalidParameter, "perm is %d, 0 to %d are allowed: read 4, write 2, inherit 1, priority 8", t.Permission, topicPermissionsMax)
	}
	if t.FilterType != filterTypeSingleTag && t.FilterType != filterTypeMultiTag {
		return none, nil, refuse(remoting.ResponseInvalidParameter, "topicFilterType is [%s], %s and %s are allowed", t.FilterType, filterTypeSingleTag, filterTypeMultiTag)
	}
	edits, err := attributeEdits(t.Attributes)
	if err != nil {
		return none, nil, err
	}
	if slices.Contains(edits, attributeEdit{key: attributeMessageType, value: messageTypeMixed}) {
		return none, nil, refuse(remoting.ResponseInvalidParameter, "MIXED message type is not supported.")
	}
	return TopicSettings{
		Name: t.Name, ReadQueues: uint32(t.ReadQueues), WriteQueues: uint32(t.WriteQueues), Permission: int(t.Permission),
		Ordered: t.Ordered, SystemFlag: t.SystemFlag, FilterType: t.FilterType,
	}, edits, nil
}

// checkAdministeredTopic refuses names that no administrator may change.
func (c *Config) checkAdministeredTopic(name string) error {
	if err := checkTopicName([]byte(name)); err != nil {
		return err
	}
	if c.isSystemTopic(name) {
		return refuse(remoting.ResponseInvalidParameter, "The topic[%s] is conflict with system topic.", name)
	}
	return nil
}

// updateTopic answers UPDATE_AND_CREATE_TOPIC, when the change is applied.
func (b *Broker) updateTopic(rt remoting.ReplyTo, cmd *remoting.Command) {
	t, err := readTopicHeader(cmd)
	if err != nil {
		b.answerError(rt, err)
		return
	}
	b.updateTopics(rt, []topicConfigBody{t})
}

// readTopicHeader reads the header of UPDATE_AND_CREATE_TOPIC.
func readTopicHeader(cmd *remoting.Command) (topicConfigBody, error) {
	t := newTopicConfigBody()
	t.Name = cmd.Text("topic")
	for key, value := range map[string]*int64{"readQueueNums": &t.ReadQueues, "writeQueueNums": &t.WriteQueues, "perm": &t.Permission} {
		n, ok := cmd.Int(key)
		if !ok {
			return t, refuse(remoting.ResponseInvalidParameter, "the request needs a number %s, it has [%s]", key, cmd.Text(key))
		}
		*value = n
	}
	if filter := cmd.Text("topicFilterType"); filter != "" {
		t.FilterType = filter
	}
	if flag, ok := cmd.Int("topicSysFlag"); ok {
		t.SystemFlag = int32(flag)
	}
	t.Ordered = cmd.Bool("order")
	attributes, err := parseAttributes(cmd.Text("attributes"))
	t.Attributes = attributes
	return t, err
}

// updateTopicList answers UPDATE_AND_CREATE_TOPIC_LIST, when all changes are
// applied. None is made if one is not allowed.
func (b *Broker) updateTopicList(rt remoting.ReplyTo, cmd *remoting.Command) {
	topics, err := readChangeList(cmd.Body, "topicConfigList", readTopicBody)
	if err != nil {
		b.answerError(rt, err)
		return
	}
	b.updateTopics(rt, topics)
}

// readTopicBody reads one topic; members that are left out have their defaults.
func readTopicBody(body []byte) (topicConfigBody, error) {
	t := newTopicConfigBody()
	if err := json.Unmarshal(body, &t); err != nil {
		return t, refuse(remoting.ResponseInvalidParameter, "the topic's configuration can't be read: %v", err)
	}
	return t, nil
}

func (b *Broker) updateTopics(rt remoting.ReplyTo, topics []topicConfigBody) {
	check := func(t *topicConfigBody) (TopicSettings, []attributeEdit, error) { return t.settings(&b.config) }
	changeAll(b, rt, topics, check, b.registry.updateTopic)
}

// deleteTopic answers DELETE_TOPIC_IN_BROKER, when the topic is gone.
func (b *Broker) deleteTopic(rt remoting.ReplyTo, cmd *remoting.Command) {
	name := cmd.Text("topic")
	switch {
	case strings.TrimSpace(name) == "":
		b.answerError(rt, refuse(remoting.ResponseInvalidParameter, "The specified topic is blank."))
	case b.config.isSystemTopic(name):
		b.answerError(rt, refuse(remoting.ResponseInvalidParameter, "The topic[%s] is conflict with system topic.", name))
	default:
		b.registry.deleteTopic(name, b.answerAfter(rt, 1))
	}
}

// showTopic answers GET_TOPIC_CONFIG.
func (b *Broker) showTopic(rt remoting.ReplyTo, cmd *remoting.Command) {
	name := cmd.Text("topic")
	t, found := b.topics.Get(name)
	if !found {
		b.answerError(rt, refuse(remoting.ResponseTopicNotExist, "No topic in this broker. topic: %s", name))
		return
	}
	b.answerJSON(rt, topicBodyOf(settingsOf(t)))
}

// dataVersion is RocketMQ's DataVersion: two tables are taken for the same
// when all three members are the same.
type dataVersion struct {
	Counter      int64 `json:"counter"`
	StateVersion int64 `json:"stateVersion"`
	Timestamp    int64 `json:"timestamp"`
}

// page is the part of a table, sorted by name, that a request asks for: the
// whole one, unless it says otherwise. A client that has read the pages before
// of another version of the table gets the first page again.
func page(cmd *remoting.Command, first, count string, version dataVersion, length int) (from, to int) {
	start, paged := cmd.Int(first)
	most, bounded := cmd.Int(count)
	if !bounded || most <= 0 {
		most = int64(length)
	}
	var known dataVersion
	if !paged || start < 0 || json.Unmarshal([]byte(cmd.Text("dataVersion")), &known) != nil || known != version {
		start = 0
	}
	from = int(min(start, int64(length)))
	return from, from + int(min(most, int64(length-from)))
}

// showTopics answers GET_ALL_TOPIC_CONFIG.
func (b *Broker) showTopics(rt remoting.ReplyTo, cmd *remoting.Command) {
	table, counter := b.topicTable()
	slices.SortFunc(table, func(a, b TopicSettings) int { return strings.Compare(a.Name, b.Name) })
	version := b.versionOf(counter)
	from, to := page(cmd, "topicSeq", "maxTopicNum", version, len(table))
	body := struct {
		DataVersion        dataVersion                `json:"dataVersion"`
		MappingDataVersion dataVersion                `json:"mappingDataVersion"`
		Topics             map[string]topicConfigBody `json:"topicConfigTable"`
		MappingDetails     struct{}                   `json:"topicQueueMappingDetailMap"`
		MappingInfos       struct{}                   `json:"topicQueueMappingInfoMap"`
	}{DataVersion: version, MappingDataVersion: b.versionOf(0), Topics: make(map[string]topicConfigBody, to-from)}
	for _, s := range table[from:to] {
		body.Topics[s.Name] = topicBodyOf(s)
	}
	var reply remoting.Reply
	reply.SetInt("totalTopicNum", int64(len(table)))
	b.answerJSONWith(rt, &reply, body)
}

// versionOf is a table's version for clients. The time tells this process's
// versions from those of another log.
func (b *Broker) versionOf(counter uint64) dataVersion {
	return dataVersion{Counter: int64(counter), Timestamp: b.startedMillis}
}

// showSystemTopics answers GET_SYSTEM_TOPIC_LIST_FROM_BROKER.
func (b *Broker) showSystemTopics(rt remoting.ReplyTo, _ *remoting.Command) {
	names := []string{topicHalfExpired, traceTopic}
	for _, s := range b.config.systemTopics() {
		names = append(names, s.Name)
	}
	slices.Sort(names)
	b.answerJSON(rt, struct {
		Topics []string `json:"topicList"`
	}{slices.Compact(names)})
}
