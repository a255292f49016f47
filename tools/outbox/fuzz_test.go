package outbox

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzAttributesAreReadOrRefused: whoever may write to an application's table may
// write anything into its rows. What is taken for a message is one that could
// have been enqueued as it is.
func FuzzAttributesAreReadOrRefused(f *testing.F) {
	f.Add("id", "orders", `{"tags":"t","keys":["a"],"shardingKey":"k","queue":{"broker":"b","id":1},"deliverAt":5}`, []byte("body"))
	f.Add("", "", `{}`, []byte{})
	f.Add("id", "orders", `{"properties":{"a":"b"},"delayLevel":-1,"flag":1e9}`, []byte("body"))
	f.Fuzz(func(t *testing.T, id, topic, attributes string, body []byte) {
		m := &Message{ID: id, Topic: topic, Body: body}
		if m.SetAttributes([]byte(attributes)) != nil || m.Check() != nil {
			return
		}
		text, err := m.Attributes()
		if err != nil {
			t.Fatalf("its attributes can't be written: %v", err)
		}
		again := &Message{ID: id, Topic: topic, Body: body}
		if err := again.SetAttributes(text); err != nil {
			t.Fatalf("what is written can't be read: %v", err)
		}
		if diff := cmp.Diff(m, again); diff != "" {
			t.Errorf("came back changed:\n%s", diff)
		}
	})
}
