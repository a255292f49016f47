package broker

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/topic"
	"github.com/apogeemq/apogee/server/broker/delay"
)

// TopicSettings are a topic's settings in RocketMQ's terms (TopicConfig). The
// engine keeps the queue numbers; all else it keeps as attributes it doesn't
// understand.
type TopicSettings struct {
	Name        string
	ReadQueues  uint32
	WriteQueues uint32
	Permission  int // bits, see PermissionRead
	Ordered     bool
	SystemFlag  int32
	FilterType  string            // "" stands for SINGLE_TAG
	Attributes  map[string]string // RocketMQ's topic attributes, such as message.type
}

// Keys of attributes. RocketMQ's own topic attributes get a prefix, so that
// none is taken for one of these.
const (
	attributePermission = "perm"
	attributeOrdered    = "order"
	attributeSystemFlag = "topicSysFlag"
	attributeFilterType = "topicFilterType"
	attributePrefix     = "+"

	filterTypeSingleTag = "SINGLE_TAG"
	filterTypeMultiTag  = "MULTI_TAG"
)

// Config is the engine's form of the settings.
func (s *TopicSettings) Config() event.TopicConfig {
	texts := map[string]string{attributePermission: strconv.Itoa(s.Permission)}
	if s.Ordered {
		texts[attributeOrdered] = "true"
	}
	if s.SystemFlag != 0 {
		texts[attributeSystemFlag] = strconv.Itoa(int(s.SystemFlag))
	}
	if s.FilterType != "" && s.FilterType != filterTypeSingleTag {
		texts[attributeFilterType] = s.FilterType
	}
	for key, value := range s.Attributes {
		texts[attributePrefix+key] = value
	}
	c := event.TopicConfig{Name: s.Name, ReadQueues: s.ReadQueues, WriteQueues: s.WriteQueues}
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		c.Attributes = append(c.Attributes, event.Attribute{Key: key, Value: texts[key]})
	}
	return c
}

// settingsOf reads the settings of a topic. Attributes that can't be read have
// their defaults: a topic is never unreadable because of them.
func settingsOf(t topic.Topic) TopicSettings {
	s := TopicSettings{
		Name: t.Config.Name, ReadQueues: t.Config.ReadQueues, WriteQueues: t.Config.WriteQueues,
		Permission: permissionOf(t.Config.Attributes), Ordered: orderedOf(t.Config.Attributes), FilterType: filterTypeSingleTag,
	}
	for _, a := range t.Config.Attributes {
		switch a.Key {
		case attributeSystemFlag:
			n, _ := strconv.ParseInt(a.Value, 10, 32)
			s.SystemFlag = int32(n)
		case attributeFilterType:
			s.FilterType = a.Value
		}
		if key, ours := strings.CutPrefix(a.Key, attributePrefix); ours {
			if s.Attributes == nil {
				s.Attributes = make(map[string]string)
			}
			s.Attributes[key] = a.Value
		}
	}
	return s
}

func permissionOf(attributes []event.Attribute) int {
	for _, a := range attributes {
		if a.Key == attributePermission {
			if n, err := strconv.Atoi(a.Value); err == nil {
				return n
			}
		}
	}
	return PermissionRead | PermissionWrite
}

func orderedOf(attributes []event.Attribute) bool {
	for _, a := range attributes {
		if a.Key == attributeOrdered {
			return a.Value == "true"
		}
	}
	return false
}

// TopicTable is all topics, for registration at nameservers, and the version
// of that table. Clients are permitted no more than the broker permits.
func (b *Broker) TopicTable() ([]TopicSettings, uint64) {
	changes := b.live.version.Load() // first, as in topicTable
	table, version := b.topicTable()
	permission := b.live.get().permission | ^(PermissionRead | PermissionWrite)
	for i := range table {
		table[i].Permission &= permission
	}
	return table, version + changes
}

// topicTable is all topics and the version of that table.
func (b *Broker) topicTable() ([]TopicSettings, uint64) {
	version := b.topics.Version() // first: a later change gives a later version
	all := b.topics.All()
	table := make([]TopicSettings, len(all))
	for i, t := range all {
		table[i] = settingsOf(t)
	}
	return table, version
}

// systemTopics are the topics that clients and tools look for. TBW102 is the
// model for topics that a send creates.
func (c *Config) systemTopics() []TopicSettings {
	readWrite := PermissionRead | PermissionWrite
	topics := []TopicSettings{
		{Name: topicSelfTest, ReadQueues: 1},
		{Name: topicBenchmark, ReadQueues: benchmarkTopicQueues},
		{Name: c.ClusterName, ReadQueues: clusterTopicQueues, Permission: readWrite | PermissionInherit},
		{Name: c.BrokerName, ReadQueues: 1, Permission: readWrite | PermissionInherit},
		{Name: topicOffsetMoved, ReadQueues: 1},
		{Name: topicSchedule, ReadQueues: scheduleTopicQueues},
		{Name: delay.TimerTopic, ReadQueues: 1},
		{Name: c.ClusterName + replyTopicSuffix, ReadQueues: 1},
		{Name: topicHalf, ReadQueues: 1},
		{Name: topicHalfOperations, ReadQueues: 1},
	}
	if c.TraceTopic != "" {
		topics = append(topics, TopicSettings{Name: c.TraceTopic, ReadQueues: 1})
	}
	if c.AutoCreateTopic {
		topics = append(topics, TopicSettings{Name: topicAutoCreate, ReadQueues: uint32(c.DefaultTopicQueues),
			Permission: readWrite | PermissionInherit})
	}
	for i := range topics {
		topics[i].WriteQueues = topics[i].ReadQueues
		if topics[i].Permission == 0 {
			topics[i].Permission = readWrite
		}
	}
	return topics
}
