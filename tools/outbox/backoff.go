package outbox

import (
	"math/rand/v2"
	"time"
)

// Backoff says how long to wait between attempts. The wait doubles from Min to
// Max; each is shortened by up to a half, by chance, so that many senders don't
// return at once.
type Backoff struct {
	Min time.Duration // 0 takes 100 ms
	Max time.Duration // 0 takes 5 s
}

const (
	backoffMinDefault = 100 * time.Millisecond
	backoffMaxDefault = 5 * time.Second
)

// After is the wait after so many failed attempts, from 1 on.
func (b Backoff) After(attempts int) time.Duration {
	low, high := b.Min, b.Max
	if low <= 0 {
		low = backoffMinDefault
	}
	if high <= 0 {
		high = max(backoffMaxDefault, low)
	}
	wait := min(low, high)
	for ; attempts > 1 && wait < high; attempts-- {
		wait = min(2*wait, high)
	}
	return wait - rand.N(wait/2+1)
}
