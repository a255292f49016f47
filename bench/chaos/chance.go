package chaos

import (
	"context"
	"math/rand/v2"
	"time"
)

// What random numbers are for: each purpose has its own, so that more of one
// doesn't change the others.
const (
	drawFlush uint64 = iota + 1
	drawMedium
	drawFault // one stream for each fault: the last purpose
)

func draws(seed, purpose uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, purpose)) }

// between is a random time.
func between(r *rand.Rand, from, to time.Duration) time.Duration {
	return (from + time.Duration(r.Int64N(int64(to-from)))).Round(time.Millisecond)
}

// pause waits, and reports whether the context still lives.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
