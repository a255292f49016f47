package e2e

import (
	"testing"
	"time"
)

// world is what a case with a crash in its middle runs against.
type world struct {
	*server // at which its clients look
	// crash kills whoever serves, and returns when the server serves again.
	crash func(t *testing.T)
}

// alone is a server that starts again after its kill.
func alone(t *testing.T, settings ...string) world {
	t.Helper()
	s := startServer(t, settings...)
	return world{s, func(*testing.T) {
		s.kill()
		s.restart()
	}}
}

// crashes are moments that cases side by side share: each comes when all that
// still run have called await, and is over with resume.
type crashes struct {
	calls chan crashCall
}

// crashCall is a case that waits, or with nil one that has ended.
type crashCall chan struct{}

func (c *crashes) await(t *testing.T) {
	t.Helper()
	call := make(crashCall)
	c.calls <- call
	const othersTime = time.Minute
	select {
	case <-call:
	case <-time.After(othersTime):
		t.Fatal("the other cases don't come to their crash")
	}
}

// side runs cases side by side, and crash whenever all of them wait for one.
func side(t *testing.T, cases map[string]func(*testing.T, world), home *server, crash func()) {
	t.Helper()
	c := &crashes{calls: make(chan crashCall)}
	for name, body := range cases {
		go func() {
			defer func() { c.calls <- nil }()
			t.Run(name, func(t *testing.T) { body(t, world{home, c.await}) })
		}()
	}
	var waiting []crashCall
	for running := len(cases); running > 0; {
		if call := <-c.calls; call == nil {
			running--
		} else {
			waiting = append(waiting, call)
		}
		if len(waiting) == 0 || len(waiting) < running {
			continue
		}
		crash()
		for _, w := range waiting {
			close(w)
		}
		waiting = nil
	}
}
