package broker

import (
	"sync"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/server/broker/selector"
	"github.com/apogeemq/apogee/server/remoting"
)

// readJob is something that reads the log.
type readJob interface{ run(w *reader) }

// readFunction is a readJob without state of its own.
type readFunction func(w *reader)

func (f readFunction) run(w *reader) { f(w) }

// reader is what one goroutine of the read pool keeps between jobs.
type reader struct {
	reply    remoting.Reply
	body     []byte
	messages int
	selector *selector.Selector         // of the pull that is being read, nil for none
	tracks   bool                       // the offsets that are sent are wanted
	runs     []run                      // of them
	visit    func(engine.Message) error // take, bound once
	measures *pullMeasures
}

// readPool runs what may have to wait for the disk, so that a connection's
// requests don't wait for it.
type readPool struct {
	limit     int // of fresh jobs
	keepBytes int
	metrics   *brokerMetrics

	mu     sync.Mutex
	filled sync.Cond
	jobs   []readJob // a ring
	start  int
	count  int
	closed bool
}

func newReadPool(c *Config, m *brokerMetrics) *readPool {
	p := &readPool{limit: c.Limits.WaitingReads, keepBytes: c.Limits.ReplyBufferBytes, metrics: m, jobs: make([]readJob, 64)}
	p.filled.L = &p.mu
	return p
}

// submit takes a fresh job, unless too many wait.
func (p *readPool) submit(j readJob) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count >= p.limit || p.closed {
		return false
	}
	p.push(j)
	return true
}

// resume takes a pull that was held. It never refuses: the number of held
// pulls is bounded.
func (p *readPool) resume(j readJob) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.push(j)
}

func (p *readPool) push(j readJob) {
	if p.count == len(p.jobs) {
		larger := make([]readJob, 2*len(p.jobs))
		n := copy(larger, p.jobs[p.start:])
		copy(larger[n:], p.jobs[:p.start])
		p.jobs, p.start = larger, 0
	}
	p.jobs[(p.start+p.count)%len(p.jobs)] = j
	p.count++
	p.filled.Signal()
}

// waiting is the number of jobs that no reader has taken.
func (p *readPool) waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.count
}

// run is one goroutine of the pool. After close it serves what waits and ends.
func (p *readPool) run() {
	w := &reader{measures: p.metrics.newPullMeasures()}
	w.visit = w.take
	for {
		p.mu.Lock()
		for p.count == 0 && !p.closed {
			p.filled.Wait()
		}
		if p.count == 0 {
			p.mu.Unlock()
			return
		}
		j := p.jobs[p.start]
		p.jobs[p.start] = nil
		p.start = (p.start + 1) % len(p.jobs)
		p.count--
		p.mu.Unlock()
		j.run(w)
		if cap(w.body) > p.keepBytes {
			w.body = nil
		}
	}
}

func (p *readPool) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.filled.Broadcast()
}
