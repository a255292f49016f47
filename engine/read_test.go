package engine

import (
	"testing"

	"github.com/apogeemq/apogee/engine/event"
)

func TestSkippedEventsDoNotCountAgainstTheLimits(t *testing.T) {
	t.Parallel()
	e := mustOpen(t, diskOptions(t))
	defer mustClose(t, e)
	bulk(t, e, 1, 100, 100, 50)
	q := event.Queue{Topic: 1, ID: 0}
	var seen []event.Offset
	next, err := e.ReadQueue(q, 0, ReadLimits{Count: 3, Bytes: 1 << 20, Scan: 64}, nil, func(m Message) error {
		if m.Offset%10 != 0 {
			return ErrSkip
		}
		seen = append(seen, m.Offset)
		return nil
	})
	if err != nil || next != 21 || len(seen) != 3 || seen[2] != 20 {
		t.Errorf("offsets %v, next %d, %v", seen, next, err)
	}
	next, err = e.ReadQueue(q, 21, ReadLimits{Count: 3, Bytes: 1 << 20, Scan: 64}, nil, func(Message) error { return ErrSkip })
	if err != nil || next != 85 {
		t.Errorf("next %d, %v; the read looks at 64 entries", next, err)
	}
}
