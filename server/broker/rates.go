package broker

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// rateWindow is the time over which the rate of one topic or group is taken.
const rateWindow = 10 * time.Second

// historySeconds is how far back the totals are known: RocketMQ shows the last
// ten minutes.
const historySeconds = 600

// totals are counted from the start of the process on.
type totals struct {
	stored      atomic.Uint64 // messages
	storedBytes atomic.Uint64
	failed      atomic.Uint64 // sends that were refused or are in doubt
	found       atomic.Uint64 // pulls that got messages
	missed      atomic.Uint64 // pulls that got none
	transferred atomic.Uint64 // messages pulled
}

// sample is what the totals were at some moment.
type sample struct {
	at                                 time.Time
	stored, found, missed, transferred uint64
}

func (t *totals) sample(at time.Time) sample {
	return sample{at, t.stored.Load(), t.found.Load(), t.missed.Load(), t.transferred.Load()}
}

// history is the totals of the last minutes, one sample a second, and those of
// the last two midnights.
type history struct {
	mu        sync.Mutex
	samples   [historySeconds + 1]sample // a ring
	last      int
	count     int
	today     sample // the first of this day
	yesterday sample // the first of the day before
}

func (h *history) add(s sample) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.count == 0 || s.at.YearDay() != h.samples[h.last].at.YearDay() {
		h.yesterday, h.today = h.today, s
	}
	h.last = (h.last + 1) % len(h.samples)
	h.samples[h.last] = s
	h.count = min(h.count+1, len(h.samples))
}

// mornings are the totals of the last two midnights, 0 where the process is
// younger.
func (h *history) mornings() (yesterday, today sample) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.yesterday, h.today
}

// rates writes the changes of a total per second over 10 seconds, a minute and
// ten minutes, as RocketMQ does.
func (h *history) rates(total func(sample) uint64) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var values [3]float64
	for i, seconds := range []int{10, 60, historySeconds} {
		if h.count < 2 {
			break
		}
		back := min(seconds, h.count-1)
		now, then := h.samples[h.last], h.samples[(h.last-back+len(h.samples))%len(h.samples)]
		if passed := now.at.Sub(then.at).Seconds(); passed > 0 {
			values[i] = float64(total(now)-total(then)) / passed
		}
	}
	return fmt.Sprintf("%v %v %v", values[0], values[1], values[2])
}

// measure takes the totals that rates are taken from. It is called every
// rateWindow.
func (m *brokerMetrics) measure(now time.Time) {
	millis := now.UnixMilli()
	m.flows.each(func(_ flowKey, f *flow) { f.past.add(f.counts(), millis) })
	m.flows.mu.Lock()
	defer m.flows.mu.Unlock()
	m.past.add(counts{m.totals.stored.Load(), m.totals.storedBytes.Load()}, millis)
	m.pastOut.add(counts{messages: m.totals.transferred.Load()}, millis)
}

// rateIn is the messages stored per second in a topic.
func (m *brokerMetrics) rateIn(topic string) (rate javaDouble) {
	for kind := range messageKinds {
		rate += m.rate(flowKey{topic: topic, kind: messageKind(kind)})
	}
	return rate
}

// rateOut is the messages pulled per second by a group from a topic.
func (m *brokerMetrics) rateOut(topic, group string) javaDouble {
	return m.rate(flowKey{topic: topic, group: group})
}

func (m *brokerMetrics) rate(k flowKey) javaDouble {
	m.flows.mu.Lock()
	defer m.flows.mu.Unlock()
	if f := m.flows.table[k]; f != nil {
		return javaDouble(f.past.rate())
	}
	return 0
}

// runRates takes samples until ctx ends.
func (m *brokerMetrics) runRates(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	measured := m.config.Clock()
	m.history.add(m.totals.sample(measured))
	m.measure(measured)
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		now := m.config.Clock()
		m.history.add(m.totals.sample(now))
		if now.Sub(measured) >= rateWindow {
			m.measure(now)
			measured = now
		}
	}
}
