package outbox

import (
	"sync"
	"time"
)

// pausesMax bounds the topics that are remembered. Past it all are tried again.
const pausesMax = 4096

// pauses remembers the topics that could not be sent to a moment ago, so that
// not each of their messages waits for an attempt of its own to fail.
type pauses struct {
	backoff Backoff
	mu      sync.Mutex
	topics  map[string]pause
}

type pause struct {
	failures int
	until    time.Time
}

func (p *pauses) paused(topic string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	t, found := p.topics[topic]
	return found && time.Now().Before(t.until)
}

// pause lengthens the pause of a topic. Failures during a pause were under way
// when it began and tell nothing new.
func (p *pauses) pause(topic string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.topics == nil || len(p.topics) >= pausesMax {
		p.topics = map[string]pause{}
	}
	now, t := time.Now(), p.topics[topic]
	if now.Before(t.until) {
		return
	}
	t.failures++
	t.until = now.Add(p.backoff.After(t.failures))
	p.topics[topic] = t
}

func (p *pauses) resume(topic string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.topics, topic)
}
