package load

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

const (
	latencyMin    = int64(time.Microsecond)
	latencyMax    = int64(time.Minute)
	latencyDigits = 3
)

// tally counts what one connection saw during the measured window. It has one
// owner until the run is over; then tallies are merged.
type tally struct {
	latency  *hdrhistogram.Histogram // nanoseconds per request
	requests int64
	messages int64
	bytes    int64 // message bodies
	records  int64 // bytes of pulled records
	stored   int64 // replies with code 0, which is nearly all of them
	others   map[int32]int64
	remarks  map[int32]string // the first remark of each other code
	last     time.Duration    // when the last counted reply came
}

func newTally() *tally {
	return &tally{
		latency: NewHistogram(),
		others:  map[int32]int64{},
		remarks: map[int32]string{},
	}
}

// record counts one reply that came at now to a request sent at sent.
func (t *tally) record(sent, now time.Duration, messages, bytes int) error {
	t.requests++
	t.messages += int64(messages)
	t.bytes += int64(bytes)
	t.last = now
	return Record(t.latency, now-sent)
}

// NewHistogram is an empty histogram of latencies in nanoseconds, up to a
// minute, with three significant digits.
func NewHistogram() *hdrhistogram.Histogram {
	return hdrhistogram.New(latencyMin, latencyMax, latencyDigits)
}

// Record counts one latency. What is longer than a minute counts as a minute.
func Record(h *hdrhistogram.Histogram, latency time.Duration) error {
	if err := h.RecordValue(min(max(int64(latency), 0), latencyMax)); err != nil {
		return fmt.Errorf("record a latency of %v: %w", latency, err)
	}
	return nil
}

// Percentiles reads a histogram.
func Percentiles(h *hdrhistogram.Histogram) Latency {
	at := func(q float64) float64 { return milliseconds(h.ValueAtQuantile(q)) }
	return Latency{P50: at(50), P90: at(90), P99: at(99), P999: at(99.9), Max: milliseconds(h.Max())}
}

// refuse counts a reply with a code other than 0.
func (t *tally) refuse(code int32, remark string) {
	if t.others[code] == 0 {
		t.remarks[code] = remark
	}
	t.others[code]++
}

func (t *tally) merge(from *tally) {
	t.latency.Merge(from.latency)
	t.requests += from.requests
	t.messages += from.messages
	t.bytes += from.bytes
	t.records += from.records
	t.stored += from.stored
	t.last = max(t.last, from.last)
	for code, n := range from.others {
		if t.others[code] == 0 {
			t.remarks[code] = from.remarks[code]
		}
		t.others[code] += n
	}
}
