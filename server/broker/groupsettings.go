package broker

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/group"
)

// GroupSettings are a consumer group's settings in RocketMQ's terms
// (SubscriptionGroupConfig).
type GroupSettings struct {
	Name            string
	ConsumeEnable   bool  // members may pull
	FromMinEnable   bool  // consumeFromMinEnable
	BroadcastEnable bool  // members may consume as BROADCASTING
	Orderly         bool  // consumeMessageOrderly
	NotifyEnable    bool  // members are told when the group changes
	RetryQueues     int32 // of the retry topic; 0 or less for no retries
	RetryMax        int32 // tries before a message goes to the dead letters
	TimeoutMinutes  int32 // consumeTimeoutMinute
	SystemFlag      int32
	BrokerID        int64
	BrokerWhenSlow  int64             // whichBrokerWhenConsumeSlowly
	RetryPolicy     string            // JSON of groupRetryPolicy
	Subscriptions   string            // JSON of subscriptionDataSet, "" for none
	Forbidden       string            // topics that members must not pull, with commas between them
	Attributes      map[string]string // RocketMQ's group attributes
}

const defaultRetryPolicy = `{"type":"CUSTOMIZED"}`

// defaultGroup is what a group has that nobody has configured.
func defaultGroup(name string) GroupSettings {
	return GroupSettings{
		Name: name, ConsumeEnable: true, FromMinEnable: true, BroadcastEnable: true, NotifyEnable: true,
		RetryQueues: 1, RetryMax: 16, TimeoutMinutes: 15, BrokerWhenSlow: 1, RetryPolicy: defaultRetryPolicy,
	}
}

// groupField names a setting in the log and says how it is written and read.
type groupField struct {
	key  string
	text func(*GroupSettings) string
	read func(*GroupSettings, string)
}

func boolField(key string, field func(*GroupSettings) *bool) groupField {
	return groupField{key, func(s *GroupSettings) string { return strconv.FormatBool(*field(s)) },
		func(s *GroupSettings, text string) { *field(s) = text == "true" }}
}

func numberField[N int32 | int64](key string, bits int, field func(*GroupSettings) *N) groupField {
	return groupField{key, func(s *GroupSettings) string { return strconv.FormatInt(int64(*field(s)), 10) },
		func(s *GroupSettings, text string) {
			if n, err := strconv.ParseInt(text, 10, bits); err == nil {
				*field(s) = N(n)
			}
		}}
}

func textField(key string, field func(*GroupSettings) *string) groupField {
	return groupField{key, func(s *GroupSettings) string { return *field(s) },
		func(s *GroupSettings, text string) { *field(s) = text }}
}

// Keys that are read one by one on the way of a pull.
const (
	attributeConsume   = "consumeEnable"
	attributeBroadcast = "consumeBroadcastEnable"
	attributeNotify    = "notifyConsumerIdsChangedEnable"
	attributeForbidden = "forbiddenTopics"
)

var groupFields = []groupField{
	boolField(attributeConsume, func(s *GroupSettings) *bool { return &s.ConsumeEnable }),
	boolField("consumeFromMinEnable", func(s *GroupSettings) *bool { return &s.FromMinEnable }),
	boolField(attributeBroadcast, func(s *GroupSettings) *bool { return &s.BroadcastEnable }),
	boolField("consumeMessageOrderly", func(s *GroupSettings) *bool { return &s.Orderly }),
	boolField(attributeNotify, func(s *GroupSettings) *bool { return &s.NotifyEnable }),
	numberField("retryQueueNums", 32, func(s *GroupSettings) *int32 { return &s.RetryQueues }),
	numberField("retryMaxTimes", 32, func(s *GroupSettings) *int32 { return &s.RetryMax }),
	numberField("consumeTimeoutMinute", 32, func(s *GroupSettings) *int32 { return &s.TimeoutMinutes }),
	numberField("groupSysFlag", 32, func(s *GroupSettings) *int32 { return &s.SystemFlag }),
	numberField("brokerId", 64, func(s *GroupSettings) *int64 { return &s.BrokerID }),
	numberField("whichBrokerWhenConsumeSlowly", 64, func(s *GroupSettings) *int64 { return &s.BrokerWhenSlow }),
	textField("groupRetryPolicy", func(s *GroupSettings) *string { return &s.RetryPolicy }),
	textField(attributeForbidden, func(s *GroupSettings) *string { return &s.Forbidden }),
	textField("subscriptionDataSet", func(s *GroupSettings) *string { return &s.Subscriptions }),
}

// Config is the engine's form of the settings: those that are not the default.
func (s *GroupSettings) Config() event.GroupConfig {
	usual := defaultGroup(s.Name)
	texts := make(map[string]string)
	for _, f := range groupFields {
		if text := f.text(s); text != f.text(&usual) {
			texts[f.key] = text
		}
	}
	for key, value := range s.Attributes {
		texts[attributePrefix+key] = value
	}
	c := event.GroupConfig{Name: s.Name}
	for _, key := range slices.Sorted(maps.Keys(texts)) {
		c.Attributes = append(c.Attributes, event.Attribute{Key: key, Value: texts[key]})
	}
	return c
}

// groupSettingsOf reads the settings of a group. What can't be read has its
// default.
func groupSettingsOf(g group.Group) GroupSettings {
	s := defaultGroup(g.Config.Name)
	for _, a := range g.Config.Attributes {
		if key, ours := strings.CutPrefix(a.Key, attributePrefix); ours {
			if s.Attributes == nil {
				s.Attributes = make(map[string]string)
			}
			s.Attributes[key] = a.Value
			continue
		}
		for _, f := range groupFields {
			if f.key == a.Key {
				f.read(&s, a.Value)
			}
		}
	}
	return s
}

// groupAllows reads one of the switches that are on unless set otherwise.
func groupAllows(g group.Group, key string) bool {
	for _, a := range g.Config.Attributes {
		if a.Key == key {
			return a.Value == "true"
		}
	}
	return true
}

// systemGroups are the groups that clients and tools look for.
func systemGroups() []GroupSettings {
	var groups []GroupSettings
	for _, name := range []string{
		"TOOLS_CONSUMER", "FILTERSRV_CONSUMER", "SELF_TEST_C_GROUP", "CID_ONS-HTTP-PROXY",
		"CID_ONSAPI_PULL", "CID_ONSAPI_PERMISSION", "CID_ONSAPI_OWNER", "CID_RMQ_SYS_TRANS",
	} {
		groups = append(groups, defaultGroup(name))
	}
	return groups
}
