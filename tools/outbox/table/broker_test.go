package table

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/apogeemq/apogee/tools/outbox"
)

// broker is a sender that keeps what it gets.
type broker struct {
	mu       sync.Mutex
	messages []*outbox.Message
	// before decides about each message before it is stored; nil stores all.
	before func(m *outbox.Message) error
	// after is the answer once it is stored; nil says that it is.
	after func(m *outbox.Message) error
}

func (b *broker) Send(_ context.Context, m *outbox.Message) (outbox.Receipt, error) {
	if b.before != nil {
		if err := b.before(m); err != nil {
			return outbox.Receipt{}, err
		}
	}
	b.mu.Lock()
	b.messages = append(b.messages, m)
	b.mu.Unlock()
	if b.after != nil {
		if err := b.after(m); err != nil {
			return outbox.Receipt{}, err
		}
	}
	return outbox.Receipt{Broker: "a"}, nil
}

func (b *broker) all() []*outbox.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]*outbox.Message(nil), b.messages...)
}

// bodies are the texts of the messages, in the order of their arrival.
func (b *broker) bodies() []string { return bodies(b.all()) }

func bodies(messages []*outbox.Message) []string {
	var texts []string
	for _, m := range messages {
		texts = append(texts, string(m.Body))
	}
	return texts
}

// judge wants each message of so many customers, the first copies in order,
// and all copies with one id. It returns the number of copies too many.
func judge(t *testing.T, arrived []*outbox.Message, customers, each int) (copies int) {
	t.Helper()
	next, ids := map[string]int{}, map[string]string{}
	for _, m := range arrived {
		var customer string
		var n int
		if _, err := fmt.Sscanf(string(m.Body), "%s %d", &customer, &n); err != nil {
			t.Fatalf("message %q: %v", m.Body, err)
		}
		id, again := ids[string(m.Body)]
		switch {
		case again && id != m.ID:
			t.Errorf("message %q arrived with the ids %s and %s", m.Body, id, m.ID)
		case again:
			copies++
		case n != next[customer]:
			t.Errorf("customer %s: message %d arrived when %d was next", customer, n, next[customer])
			next[customer] = n + 1
		default:
			next[customer]++
		}
		ids[string(m.Body)] = m.ID
	}
	if want := customers * each; len(ids) != want {
		t.Errorf("%d of %d messages arrived", len(ids), want)
	}
	return copies
}
