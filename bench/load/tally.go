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
	stored   int64 // replies with code 0, which is nearly all of them
	others   map[int32]int64
	remarks  map[int32]string // the first remark of each other code
	last     time.Duration    // when the last counted reply came
}

func newTally() *tally {
	return &tally{
		latency: hdrhistogram.New(latencyMin, latencyMax, latencyDigits),
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
	if err := t.latency.RecordValue(min(int64(now-sent), latencyMax)); err != nil {
		return fmt.Errorf("record a latency of %v: %w", now-sent, err)
	}
	return nil
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
	t.stored += from.stored
	t.last = max(t.last, from.last)
	for code, n := range from.others {
		if t.others[code] == 0 {
			t.remarks[code] = from.remarks[code]
		}
		t.others[code] += n
	}
}
