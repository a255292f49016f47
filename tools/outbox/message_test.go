package outbox

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestIDAndBirthAreChosenOnce(t *testing.T) {
	t.Parallel()
	m := &Message{Topic: "orders", Body: []byte("1")}
	if err := m.Prepare(); err != nil {
		t.Fatal(err)
	}
	id, born := m.ID, m.Born
	if id == "" || born.IsZero() {
		t.Fatalf("id %q, born %v: nothing was chosen", id, born)
	}
	if err := m.Prepare(); err != nil {
		t.Fatal(err)
	}
	if m.ID != id || !m.Born.Equal(born) {
		t.Errorf("id %q, born %v became %q, %v", id, born, m.ID, m.Born)
	}
	other := &Message{Topic: "orders", Body: []byte("1")}
	if err := other.Prepare(); err != nil {
		t.Fatal(err)
	}
	if other.ID == id {
		t.Errorf("two messages have the id %s", id)
	}
}

func TestWhatBrokersRefuseForGoodIsFoundBefore(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*Message){
		"no topic":               func(m *Message) { m.Topic = "" },
		"topic too long":         func(m *Message) { m.Topic = strings.Repeat("t", 128) },
		"topic with a slash":     func(m *Message) { m.Topic = "a/b" },
		"no body":                func(m *Message) { m.Body = nil },
		"body too large":         func(m *Message) { m.Body = make([]byte, 4<<20+1) },
		"id too long":            func(m *Message) { m.ID = strings.Repeat("i", 256) },
		"unknown level":          func(m *Message) { m.DelayLevel = 19 },
		"two delays":             func(m *Message) { m.DelayLevel, m.DeliverAt = 1, time.Now() },
		"queue without a broker": func(m *Message) { m.Queue = &Queue{ID: 1} },
		"negative queue":         func(m *Message) { m.Queue = &Queue{Broker: "a", ID: -1} },
		"key with a blank":       func(m *Message) { m.Keys = []string{"a b"} },
		"separator in the tags":  func(m *Message) { m.Tags = "a\x02b" },
		"broker with a newline":  func(m *Message) { m.Queue = &Queue{Broker: "a\n"} },
		"sharding key not UTF-8": func(m *Message) { m.ShardingKey = "a\xff" },
		"zero byte in a key":     func(m *Message) { m.Keys = []string{"a\x00"} },
		"separator in a name":    func(m *Message) { m.Properties = map[string]string{"a\x01b": "c"} },
		"property of a field":    func(m *Message) { m.Properties = map[string]string{"UNIQ_KEY": "c"} },
		"transaction":            func(m *Message) { m.Properties = map[string]string{"TRAN_MSG": "true"} },
		"relative delay":         func(m *Message) { m.Properties = map[string]string{"TIMER_DELAY_SEC": "1"} },
		"empty property":         func(m *Message) { m.Properties = map[string]string{"a": ""} },
		"properties too large":   func(m *Message) { m.Properties = map[string]string{"a": strings.Repeat("b", 32000)} },
	} {
		m := &Message{Topic: "orders", Body: []byte("1")}
		spoil(m)
		if err := m.Prepare(); Class(err) != ErrRefused {
			t.Errorf("%s: got %v, want a refusal", name, err)
		}
	}
}

func TestLargestMessageIsLegal(t *testing.T) {
	t.Parallel()
	m := &Message{Topic: strings.Repeat("t", 127), Body: make([]byte, 4<<20), ID: strings.Repeat("i", 255), DelayLevel: 18,
		Queue: &Queue{Broker: "a"}, Keys: []string{"a", "b"}, Tags: "tag", ShardingKey: "key"}
	if err := m.Prepare(); err != nil {
		t.Error(err)
	}
}

func TestStreamsAreNamedByKeyElseQueueElseTopic(t *testing.T) {
	t.Parallel()
	for want, m := range map[string]Message{
		"orders":     {Topic: "orders"},
		"orders@a:3": {Topic: "orders", Queue: &Queue{Broker: "a", ID: 3}},
		"orders/k":   {Topic: "orders", Queue: &Queue{Broker: "a", ID: 3}, ShardingKey: "k"},
	} {
		if got := m.Stream(); got != want {
			t.Errorf("stream %q, want %q", got, want)
		}
	}
}

func TestFieldsBecomeProperties(t *testing.T) {
	t.Parallel()
	m := Message{Topic: "orders", ID: "U1", Tags: "paid", Keys: []string{"k1", "k2"}, ShardingKey: "s",
		DeliverAt: time.UnixMilli(1700000000123), Properties: map[string]string{"b": "2", "a": "1"}}
	want := map[string]string{"UNIQ_KEY": "U1", "TAGS": "paid", "KEYS": "k1 k2", "__SHARDINGKEY": "s", "SHARDING_KEY": "s",
		"TIMER_DELIVER_MS": "1700000000123", "a": "1", "b": "2"}
	if diff := cmp.Diff(want, maps.Collect(m.AllProperties())); diff != "" {
		t.Error(diff)
	}
	if got := maps.Collect((&Message{Topic: "orders", DelayLevel: 3}).AllProperties()); !maps.Equal(got, map[string]string{"DELAY": "3"}) {
		t.Errorf("properties of a delay level: %v", got)
	}
}

func TestUnknownErrorsAreInDoubt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ err, want error }{
		{nil, nil},
		{errors.New("odd"), ErrInDoubt},
		{fmt.Errorf("send: %w", ErrRefused), ErrRefused},
		{fmt.Errorf("send: %w", ErrNotAccepted), ErrNotAccepted},
		{errors.Join(ErrNotAccepted, ErrInDoubt), ErrInDoubt},
	} {
		if got := Class(c.err); got != c.want {
			t.Errorf("class of %v: %v, want %v", c.err, got, c.want)
		}
	}
}
