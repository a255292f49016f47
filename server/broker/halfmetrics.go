package broker

import (
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/pending"
)

// ended counts a transaction that has its outcome.
func (m *brokerMetrics) ended(topic string, outcome flowEvent) {
	if outcome == abandoned {
		m.abandoned.Inc()
		return
	}
	m.flows.find(flowKey{topic: topic, event: outcome}).messages.Inc()
}

// asked counts a time to ask the producers of a half message for its outcome.
func (m *brokerMetrics) asked(sent bool) {
	if sent {
		m.checksSent.Inc()
	} else {
		m.checksUnsent.Inc()
	}
}

// oldestHalfScan bounds the search for the oldest half message among all
// messages that wait.
const oldestHalfScan = 1024

// oldestHalfSeconds is the age of the half message that is stored the longest,
// since it was moved if it was; 0 with none, -1 when so many delayed messages
// are older that it is not found.
func (b *Broker) oldestHalfSeconds() float64 {
	if b.waiting.Counts().Half == 0 {
		return 0
	}
	var oldest *pending.Entry
	looked := 0
	err := b.waiting.Before(b.progress.Marks().AppliedPosition, func(w pending.Entry) bool {
		if w.Kind == event.KindHalf {
			oldest = &w
		}
		looked++
		return oldest == nil && looked < oldestHalfScan
	})
	if err != nil || oldest == nil {
		return -1
	}
	seconds := -1.0
	err = b.queues.ReadAt(oldest.Location, func(m engine.Message) error {
		seconds = b.config.Clock().Sub(time.UnixMilli(m.Timestamp)).Seconds()
		return nil
	})
	if err != nil {
		return -1
	}
	return max(seconds, 0)
}
