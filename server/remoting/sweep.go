package remoting

import (
	"errors"
	"time"
)

var (
	errIdle   = errors.New("no traffic within the idle time")
	errSlow   = errors.New("a frame took too long to arrive")
	errUnread = errors.New("the peer took nothing of what waits to be sent within the idle time")
)

// sweepsPerTimeout is how many sweeps, at least, see a connection before a
// timeout has passed. One sweep more than that passes at most.
const sweepsPerTimeout = 8

// sweeps says after how many sweeps without a change a connection, or a call,
// is late.
type sweeps struct {
	period            time.Duration
	idle, frame, call int
}

func (o *Options) sweeps() sweeps {
	period := max(min(o.IdleTimeout, o.FrameTimeout, 2*o.CallTimeout)/sweepsPerTimeout, time.Millisecond)
	count := func(timeout time.Duration) int { return int((timeout + period - 1) / period) }
	return sweeps{period: period, idle: count(o.IdleTimeout), frame: count(o.FrameTimeout), call: count(o.CallTimeout)}
}

// sweep closes connections that nothing comes from, or too little, or that
// take nothing, and ends late calls. Connections only count what they do, so
// that this costs the hot path no clock and no timer.
func (s *Server) sweep() {
	defer s.work.Done()
	limits := s.options.sweeps()
	ticker := time.NewTicker(limits.period)
	defer ticker.Stop()
	var conns []*Conn
	for {
		select {
		case <-s.stop:
			return
		case <-ticker.C:
		}
		s.mu.Lock()
		for c := range s.conns {
			conns = append(conns, c)
		}
		s.mu.Unlock()
		for i, c := range conns {
			if cause := c.watch.look(c, limits); cause != nil {
				c.fail(cause)
			}
			c.sweepCalls(limits.call)
			conns[i] = nil
		}
		conns = conns[:0]
	}
}

// watch is what the sweeper has seen of a connection.
type watch struct {
	begun                       bool
	traffic, partial, writes    uint64
	quietFor, sameFor, stuckFor int // sweeps
}

// look compares with what the last sweeps saw and returns why the connection
// has to end, if so.
func (w *watch) look(c *Conn, limits sweeps) error {
	reads, writes, partial := c.reads.Load(), c.writes.Load(), c.partial.Load()
	if !w.begun { // part of the time between two sweeps was before the connection
		w.begun, w.quietFor = true, -1
	}
	unchanged := func(seen *uint64, now uint64, sweeps *int) int {
		if *seen != now {
			*seen, *sweeps = now, 0
		} else {
			*sweeps++
		}
		return *sweeps
	}
	quiet := unchanged(&w.traffic, reads+writes, &w.quietFor)
	same := unchanged(&w.partial, partial, &w.sameFor)
	stuck := unchanged(&w.writes, writes, &w.stuckFor)
	if c.pendingBytes.Load() <= 0 {
		w.stuckFor, stuck = 0, 0
	}
	switch {
	case partial != 0 && same >= limits.frame:
		return errSlow
	case stuck >= limits.idle:
		return errUnread
	case quiet >= limits.idle:
		return errIdle
	}
	return nil
}
