package remoting

import (
	"errors"
	"time"
)

var errIdle = errors.New("no traffic within the idle time")

// idleSweeps is how many sweeps without traffic make a connection idle. One
// more than that passes at most before it is closed.
const idleSweeps = 8

// sweep closes idle connections. Connections only count their reads and
// writes, so that idleness costs the hot path no clock and no timer.
func (s *Server) sweep() {
	defer s.work.Done()
	ticker := time.NewTicker(max(s.options.IdleTimeout/idleSweeps, time.Millisecond))
	defer ticker.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-ticker.C:
		}
		s.mu.Lock()
		for c := range s.conns {
			if c.sweepIdle() {
				c.fail(errIdle)
			}
		}
		s.mu.Unlock()
	}
}

// sweepIdle reports whether there was no traffic for idleSweeps sweeps.
func (c *Conn) sweepIdle() bool {
	traffic := c.reads.Load() + c.writes.Load()
	if traffic != c.lastTraffic {
		c.lastTraffic, c.quietSweeps = traffic, 0
		return false
	}
	c.quietSweeps++
	return c.quietSweeps > idleSweeps
}
