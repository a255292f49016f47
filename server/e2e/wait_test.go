package e2e

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

// patience bounds every wait. It is long since machines that run tests are
// busy, and since the official client looks for routes only every 30 s, and for
// queues that it couldn't begin with every 20 s: what failed once works then.
// What mustn't take so long is measured.
const patience = time.Minute

// eventually calls check until it returns nil.
func eventually(t *testing.T, what string, check func() error) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline.C:
			t.Fatalf("%s: not within %v: %v", what, patience, err)
		}
	}
}

// grow waits until a count is that much. It fails when the count stands still for
// as long as every wait may last: how fast it grows depends on the machine.
func grow(t *testing.T, what string, want int, count func() int) {
	t.Helper()
	for now := count(); now < want; now = count() {
		eventually(t, fmt.Sprintf("%s: there are %d of %d, and more", what, now, want), func() error {
			if count() == now {
				return errors.New("there are no more")
			}
			return nil
		})
	}
}

// await waits for a channel to be closed or to deliver, and returns what it
// delivered.
func await[T any](t *testing.T, what string, c <-chan T) (delivered T) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	select {
	case delivered = <-c:
	case <-deadline.C:
		t.Fatalf("%s: not within %v", what, patience)
	}
	return delivered
}
