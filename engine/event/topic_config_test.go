package event_test

import (
	"strings"
	"testing"

	"github.com/apogeemq/apogee/engine/event"
	"pgregory.net/rapid"
)

var topicPayload = payload[event.TopicConfig]{event.AppendTopicConfig, event.DecodeTopicConfig, event.TopicConfig.Validate, true}

func topicConfigs() *rapid.Generator[event.TopicConfig] {
	return rapid.Custom(func(t *rapid.T) event.TopicConfig {
		return event.TopicConfig{
			Name:        rapid.StringN(1, 200, event.NameBytesMax).Draw(t, "name"),
			ReadQueues:  rapid.Uint32().Draw(t, "read queues"),
			WriteQueues: rapid.Uint32().Draw(t, "write queues"),
			Attributes:  attributes().Draw(t, "attributes"),
		}
	})
}

func TestATopicConfigThatValidatesComesBackAsItWas(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) { topicPayload.comesBack(t, topicConfigs().Draw(t, "config")) })
}

func TestValidateNamesWhatIsWrongWithATopicConfig(t *testing.T) {
	t.Parallel()
	large := strings.Repeat("x", event.AttributeBytesMax)
	many := make([]event.Attribute, event.AttributesMax+1)
	heavy := make([]event.Attribute, 20)
	for i := range heavy {
		heavy[i] = event.Attribute{Key: string(rune('a' + i)), Value: large}
	}
	for want, c := range map[string]event.TopicConfig{
		"topic name of 0 bytes":     {},
		"topic name of 1025 bytes":  {Name: strings.Repeat("n", 1025)},
		"attribute key of 0 bytes":  {Name: "t", Attributes: []event.Attribute{{}}},
		`"b" comes after "b"`:       {Name: "t", Attributes: []event.Attribute{{Key: "b"}, {Key: "b"}}},
		`"a" comes after "b"`:       {Name: "t", Attributes: []event.Attribute{{Key: "b"}, {Key: "a"}}},
		`"k" has 65537 bytes`:       {Name: "t", Attributes: []event.Attribute{{Key: "k", Value: large + "x"}}},
		"257 attributes":            {Name: "t", Attributes: many},
		"1048576 are allowed":       {Name: "t", Attributes: heavy},
		"attribute key of 1025 byt": {Name: "t", Attributes: []event.Attribute{{Key: strings.Repeat("k", 1025)}}},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, expected an error with %q", err, want)
		}
	}
}

func TestDecodeTopicConfigRefusesEveryShorterAndLongerInput(t *testing.T) {
	t.Parallel()
	topicPayload.refusesOthers(t, event.TopicConfig{Name: "orders", ReadQueues: 300, Attributes: []event.Attribute{{Key: "perm", Value: "6"}}})
}

func FuzzDecodeTopicConfig(f *testing.F) {
	for _, d := range goldenDrafts() {
		if d.Kind == event.KindTopic {
			f.Add([]byte(d.Payload.(event.Bytes)))
		}
	}
	f.Add([]byte{1, 1, 't', 1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Add([]byte{1, 1, 't', 1, 1, 2, 1, 'b', 0, 1, 'a', 0})
	f.Add([]byte{1, 1, 't', 0x81, 0, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) { topicPayload.check(t, b) })
}
