package agent

import (
	"sync"

	"github.com/apogeemq/apogee/tools/outbox/spool"
)

// drain sends on what waits: one course for each stream that has something.
type drain struct {
	agent *Agent
	limit *limiter

	mu      sync.Mutex
	courses map[*spool.Stream]*course
	stopped bool
	running sync.WaitGroup
}

func newDrain(a *Agent) *drain {
	return &drain{agent: a, courses: make(map[*spool.Stream]*course), limit: newLimiter(a.config.DrainRate)}
}

// arrived takes a stream that has entries to read. It doesn't block.
func (d *drain) arrived(s *spool.Stream) { d.take(s, false) }

func (d *drain) take(s *spool.Stream, found bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stopped {
		return
	}
	if c := d.courses[s]; c != nil {
		c.poke(false)
		return
	}
	c := newCourse(d, s, found)
	d.courses[s] = c
	d.running.Add(1)
	go c.run()
}

// leave ends a course that found nothing to send, unless something has come
// meanwhile: then it takes the poke that said so, and the course must look again.
func (d *drain) leave(c *course) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	select {
	case <-c.pokes:
		if !d.stopped {
			return false
		}
	default:
	}
	delete(d.courses, c.stream)
	return true
}

// look has all courses try again: a broker is in reach that wasn't.
func (d *drain) look() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, c := range d.courses {
		c.poke(true)
	}
}

// run takes what was there at the start and works until stop is closed.
func (d *drain) run(stop <-chan struct{}) {
	for _, s := range d.agent.spool.Streams() {
		d.take(s, true)
	}
	<-stop
	d.mu.Lock()
	d.stopped = true
	for _, c := range d.courses {
		close(c.stop)
	}
	d.mu.Unlock()
	d.running.Wait()
}
