package event_test

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/apogeemq/apogee/engine/event"
	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func topicConfigs() *rapid.Generator[event.TopicConfig] {
	attribute := rapid.Custom(func(t *rapid.T) event.Attribute {
		return event.Attribute{Key: rapid.StringN(1, 20, 60).Draw(t, "key"), Value: rapid.String().Draw(t, "value")}
	})
	return rapid.Custom(func(t *rapid.T) event.TopicConfig {
		c := event.TopicConfig{
			Name:        rapid.StringN(1, 200, event.NameBytesMax).Draw(t, "name"),
			ReadQueues:  rapid.Uint32().Draw(t, "read queues"),
			WriteQueues: rapid.Uint32().Draw(t, "write queues"),
			Attributes: rapid.SliceOfDistinct(attribute, func(a event.Attribute) string { return a.Key }).
				Draw(t, "attributes"),
		}
		slices.SortFunc(c.Attributes, func(a, b event.Attribute) int { return cmp.Compare(a.Key, b.Key) })
		return c
	})
}

func TestATopicConfigThatValidatesComesBackAsItWas(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := topicConfigs().Draw(t, "config")
		if err := want.Validate(); err != nil {
			t.Fatalf("%v", err)
		}
		b := event.AppendTopicConfig([]byte("before"), want)
		got, err := event.DecodeTopicConfig(b[len("before"):])
		if err != nil {
			t.Fatalf("%v", err)
		}
		if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%s", diff)
		}
	})
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
	c := event.TopicConfig{Name: "orders", ReadQueues: 300, Attributes: []event.Attribute{{Key: "perm", Value: "6"}}}
	good := event.AppendTopicConfig(nil, c)
	for n := range good {
		if _, err := event.DecodeTopicConfig(good[:n]); !errors.Is(err, event.ErrCorrupt) {
			t.Fatalf("%d of %d bytes: %v, expected ErrCorrupt", n, len(good), err)
		}
	}
	if _, err := event.DecodeTopicConfig(append(good, 0)); !errors.Is(err, event.ErrCorrupt) {
		t.Fatalf("one byte more: %v, expected ErrCorrupt", err)
	}
	good[0] = 2
	if _, err := event.DecodeTopicConfig(good); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Fatalf("got %v, expected an error about version 2", err)
	}
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
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := event.DecodeTopicConfig(b)
		if err != nil {
			if !errors.Is(err, event.ErrCorrupt) {
				t.Fatalf("%v is no ErrCorrupt", err)
			}
			return
		}
		if err := c.Validate(); err != nil {
			t.Fatalf("decoded what is not valid: %v", err)
		}
		if again := event.AppendTopicConfig(nil, c); !bytes.Equal(again, b) {
			t.Fatalf("%x decodes to %+v, which encodes to %x", b, c, again)
		}
	})
}
