package agent

import (
	"sync"
	"time"
)

// limiter spreads attempts over time: at most so many a second, with none saved
// up for more than a twentieth of a second.
type limiter struct {
	each time.Duration // between two attempts, 0 for no limit

	mu   sync.Mutex
	next time.Time // for which an attempt is free
}

const limiterSlack = 50 * time.Millisecond

func newLimiter(perSecond int) *limiter {
	if perSecond == 0 {
		return &limiter{}
	}
	return &limiter{each: time.Second / time.Duration(perSecond)}
}

// take takes an attempt; or says after what time to ask again.
func (l *limiter) take() time.Duration {
	if l.each == 0 {
		return 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if wait := l.next.Sub(now); wait > 0 {
		return wait
	}
	if earliest := now.Add(-limiterSlack); l.next.Before(earliest) {
		l.next = earliest
	}
	l.next = l.next.Add(l.each)
	return 0
}

// giveBack returns an attempt that wasn't made.
func (l *limiter) giveBack() {
	l.mu.Lock()
	l.next = l.next.Add(-l.each)
	l.mu.Unlock()
}
