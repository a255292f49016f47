package broker

import (
	"maps"
	"slices"
	"strings"

	"github.com/apogeemq/apogee/server/remoting"
)

// Topic attributes of RocketMQ that clients may set, as in TopicAttributes.
const (
	attributeQueueType     = "queue.type"
	attributeCleanup       = "cleanup.policy"
	attributeMessageType   = "message.type"
	attributeReserveTime   = "reserve.time"
	messageTypeMixed       = "MIXED"
	attributeValueBytesMax = 1024
)

// attributeRule says which values an attribute may have.
type attributeRule struct {
	allowed   []string // nil allows any text
	immutable bool     // set when the topic is created, or never
}

// attributeRules are the attributes that something may have.
type attributeRules map[string]attributeRule

var topicAttributes = attributeRules{
	attributeQueueType:   {[]string{"SimpleCQ"}, true},
	attributeCleanup:     {[]string{"DELETE"}, true},
	attributeMessageType: {[]string{"UNSPECIFIED", "NORMAL", "FIFO", "DELAY", "TRANSACTION"}, false},
	attributeReserveTime: {nil, false},
}

// groupAttributes are those of RocketMQ's SubscriptionGroupAttributes, and one of
// Apogee's own.
var groupAttributes = attributeRules{
	attributeTrackDelivery:            {[]string{"true", "false"}, false},
	"priority.factor":                 {},
	"lite.bind.topic":                 {},
	"lite.sub.model":                  {[]string{"Shared", "Exclusive"}, false},
	"lite.sub.reset.offset.exclusive": {[]string{"true", "false"}, false},
	"lite.sub.client.quota":           {},
}

// attributeEdit sets or removes one attribute.
type attributeEdit struct {
	key, value string
	remove     bool
}

// parseAttributes reads the header field of UPDATE_AND_CREATE_TOPIC,
// "+key=value,-key", as RocketMQ's AttributeParser does. Keys keep their signs.
func parseAttributes(text string) (map[string]string, error) {
	table := make(map[string]string)
	if text == "" {
		return table, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		key, value, assigned := strings.Cut(part, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		switch {
		case assigned && (!strings.HasPrefix(key, "+") || value == ""):
			return nil, refuse(remoting.ResponseSystemError, "add/alter attribute format is wrong: %s", part)
		case !assigned && !strings.HasPrefix(key, "-"):
			return nil, refuse(remoting.ResponseSystemError, "delete attribute format is wrong: %s", part)
		}
		if _, again := table[key]; again {
			return nil, refuse(remoting.ResponseSystemError, "key duplication: %s", part)
		}
		table[key] = value
	}
	return table, nil
}

// attributeEdits reads attributes whose keys say with + and - what is to be
// done, as they stand in a TopicConfig that a client sends.
func attributeEdits(table map[string]string) ([]attributeEdit, error) {
	var edits []attributeEdit
	seen := make(map[string]bool, len(table))
	for _, text := range slices.Sorted(maps.Keys(table)) {
		key, add := strings.CutPrefix(text, "+")
		key, remove := strings.CutPrefix(key, "-")
		if add == remove || key == "" {
			return nil, refuse(remoting.ResponseSystemError, "wrong format key: %s", text)
		}
		if seen[key] {
			return nil, refuse(remoting.ResponseSystemError, "alter duplication key. key: %s", key)
		}
		seen[key] = true
		edits = append(edits, attributeEdit{key: key, value: table[text], remove: remove})
	}
	return edits, nil
}

// edit applies edits to the attributes of something that exists or is to be
// created. It changes nothing in before.
func (r attributeRules) edit(before map[string]string, exists bool, edits []attributeEdit) (map[string]string, error) {
	after := maps.Clone(before)
	for _, e := range edits {
		rule, known := r[e.key]
		switch {
		case e.remove && !exists:
			return nil, refuse(remoting.ResponseSystemError, "only add attribute is supported while creating. key: %s", e.key)
		case !known:
			return nil, refuse(remoting.ResponseSystemError, "unsupported key: %s", e.key)
		case rule.immutable && exists && (e.remove || before[e.key] != e.value):
			return nil, refuse(remoting.ResponseSystemError, "attempt to update an unchangeable attribute. key: %s", e.key)
		case e.remove:
			delete(after, e.key)
			continue
		case len(e.value) > attributeValueBytesMax || rule.allowed != nil && !slices.Contains(rule.allowed, e.value):
			return nil, refuse(remoting.ResponseSystemError, "value is not valid: attribute %s is [%.*s], %s is allowed",
				e.key, attributeValueBytesMax, e.value, strings.Join(rule.allowed, ", "))
		}
		if after == nil {
			after = make(map[string]string)
		}
		after[e.key] = e.value
	}
	return after, nil
}
