package agent

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/server/remoting"
	"github.com/apogeemq/apogee/tools/outbox/spool"
)

const (
	windowMax      = 256 // entries of a stream that are in memory
	windowBytes    = 1 << 20
	aheadMax       = 2 * windowMax // entries that are delivered, or in flight, and not noted as delivered
	notePause      = 5 * time.Millisecond
	pauseMin       = 50 * time.Millisecond
	pauseMax       = 5 * time.Second
	unwillingTries = 10 // after so many answers that may change, an entry is quarantined
	remarkBytesMax = 300
)

// course sends the entries of one stream, in order, on a goroutine of its own.
// Entries are in flight together only as far as their peers allow; see package
// spool.
type course struct {
	drain  *drain
	stream *spool.Stream
	pokes  chan struct{}
	hasten chan struct{} // a pause may end
	stop   chan struct{}
	landed chan outcome // has room for a window

	window []*parcel // from the first that isn't done on
	batch  batch     // the last that was sent
	next   event.Offset
	flying int
	resume time.Time // nothing is sent before
	pause  time.Duration
	absent map[string]*absence // brokers of entries, by name
	doubt  event.Offset        // entries before it may have been in flight when the process ended
}

// parcel is one entry in the window.
type parcel struct {
	course    *course
	offset    event.Offset
	peers     event.Offset
	doubt     bool
	broker    string
	command   remoting.Command
	frame     []byte
	request   request
	together  string // what it must have in common with those that it is sent with; "" to be sent alone
	flag      int32
	flying    bool
	delivered bool
	reason    string // why it is to be quarantined, "" for not
	tries     int    // answers that may change
}

// outcome is what became of an attempt.
type outcome struct {
	parcel  *parcel // nil for the whole batch
	verdict verdict
	text    string
}

func newCourse(d *drain, s *spool.Stream, found bool) *course {
	c := &course{drain: d, stream: s, pokes: make(chan struct{}, 1), hasten: make(chan struct{}, 1), stop: make(chan struct{}),
		landed: make(chan outcome, windowMax), next: s.First(), pause: pauseMin, absent: map[string]*absence{}}
	c.batch.course, c.batch.landed = c, c.batch.land
	if found {
		c.doubt = c.next + aheadMax
	}
	return c
}

// poke says that there is something to do.
func (c *course) poke(hasten bool) {
	ch := c.pokes
	if hasten {
		ch = c.hasten
	}
	select {
	case ch <- struct{}{}:
	default:
	}
}

func (c *course) run() {
	defer c.drain.running.Done()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		c.fill()
		c.sendPermitted()
		if len(c.window) == 0 && c.resume.IsZero() { // and not after a read that failed
			if c.drain.leave(c) {
				return
			}
			continue // something has come since fill
		}
		wait := time.Until(c.resume)
		if c.resume.IsZero() {
			wait = time.Hour
		}
		timer.Reset(max(wait, 0))
		select {
		case o := <-c.landed:
			c.land(o)
			c.landAll()
		case <-c.pokes:
		case <-c.hasten:
			c.resume, c.pause = time.Time{}, pauseMin
		case <-timer.C:
			c.resume = time.Time{}
		case <-c.stop:
			return
		}
	}
}

// landAll takes in what has landed by now.
func (c *course) landAll() {
	for {
		select {
		case o := <-c.landed:
			c.land(o)
		default:
			return
		}
	}
}

// fill reads entries into the window.
func (c *course) fill() {
	if len(c.window) > windowMax/2 {
		return
	}
	limits := engine.ReadLimits{Count: windowMax - len(c.window), Bytes: windowBytes, Scan: windowMax - len(c.window)}
	next, err := c.stream.Read(c.next, limits, func(i spool.Item) error {
		c.window = append(c.window, c.parcelOf(i))
		return nil
	})
	c.next = next
	switch {
	case err == nil || errors.Is(err, engine.ErrClosed):
	case spool.Damaged(err) && len(c.window) == 0:
		c.quarantine("")
		c.next = c.stream.First()
		c.poke(false)
	case !spool.Damaged(err):
		c.drain.agent.log.Warn("the spool can't be read", "stream", c.stream.Name(), "entry", next, "cause", err)
		c.rest()
	}
}

func (c *course) parcelOf(i spool.Item) *parcel {
	p := &parcel{course: c, offset: i.Offset, peers: event.Offset(i.Peers), doubt: i.Doubt}
	p.doubt = p.doubt || i.Offset < c.doubt
	b := bytes.Clone(i.Payload)
	if len(b) == 0 || len(b) < 1+int(b[0]) {
		p.reason = "it isn't a message of this outbox"
		return p
	}
	p.broker, p.frame = string(b[1:1+int(b[0])]), b[1+int(b[0]):]
	err := p.command.Decode(p.frame)
	if err == nil {
		err = p.request.read(&p.command)
	}
	if err != nil {
		p.reason = "it can't be read: " + err.Error()
		return p
	}
	p.command.Flag = 0 // an answer is wanted, whatever the client wanted
	if p.doubt {
		p.request.markDoubt()
	}
	p.together, p.flag = p.request.together(p.broker)
	return p
}

// sendPermitted sends what may be in flight now.
func (c *course) sendPermitted() {
	for len(c.window) > 0 && c.window[0].reason != "" {
		if !c.quarantine(c.window[0].reason) {
			return
		}
		c.window = c.window[1:]
	}
	if !c.resume.IsZero() && time.Now().Before(c.resume) {
		return
	}
	if len(c.window) > 0 && c.window[0].offset-c.stream.Recorded() > aheadMax-windowMax {
		c.resume = time.Now().Add(notePause)
		return
	}
	if c.batch.flying || c.flying == 0 && c.sendBatch() {
		return
	}
	for i, p := range c.window {
		if p.offset-p.peers > c.window[0].offset {
			return // it waits for others
		}
		if c.flying > 0 {
			if _, _, together := c.batch.begins(c.window[i:]); together {
				return // and those behind it go with it
			}
		}
		if p.flying || p.delivered || p.reason != "" {
			continue
		}
		if wait := c.drain.limit.take(); wait > 0 {
			c.resume = time.Now().Add(wait)
			return
		}
		if err := p.send(); err != nil {
			c.drain.limit.giveBack()
			c.rest()
			return
		}
		p.flying = true
		c.flying++
	}
}

// rest pauses, longer each time.
func (c *course) rest() {
	c.resume = time.Now().Add(c.pause/2 + rand.N(c.pause))
	c.pause = min(2*c.pause, pauseMax)
}

// land takes in what became of an attempt.
func (c *course) land(o outcome) {
	if o.parcel == nil {
		c.landBatch(o)
		return
	}
	p, m := o.parcel, c.drain.agent.metrics
	p.flying = false
	c.flying--
	switch o.verdict {
	case stored:
		p.delivered = true
		c.pause = pauseMin
		m.delivered.Inc()
		c.advance()
		return
	case refused:
		p.reason = o.text
		return
	case unwilling:
		if p.tries++; p.tries >= unwillingTries {
			p.reason = o.text
			return
		}
	case inDoubt:
		m.drainDoubt.Inc()
		if !p.doubt {
			p.doubt = true
			p.request.markDoubt()
		}
	}
	m.drainFailed.Inc()
	c.rest()
}

// advance passes the entries at the front that are delivered.
func (c *course) advance() {
	n := 0
	for n < len(c.window) && c.window[n].delivered {
		n++
	}
	if n > 0 {
		c.stream.Done(c.window[n-1].offset + 1)
		c.window = c.window[n:]
	}
}

// quarantine takes the first entry out of the way.
func (c *course) quarantine(reason string) bool {
	if err := c.stream.Quarantine(reason); err != nil {
		c.drain.agent.log.Warn("an entry that is refused can't be quarantined", "stream", c.stream.Name(), "cause", err)
		c.rest()
		return false
	}
	if reason == "" {
		return true // it is damaged, and the spool has said so
	}
	c.drain.agent.log.Warn("an entry will never be delivered and is in the quarantine", "stream", c.stream.Name(), "lane", c.stream.Lane(), "reason", reason)
	return true
}

var errNotYet = errors.New("no broker is in reach")

// send gives the entry to its broker.
func (p *parcel) send() error {
	a := p.course.drain.agent
	t, queue, ok := p.course.place(p)
	if !ok {
		return errNotYet
	}
	conn := t.upstream.connection()
	if conn == nil {
		return errNotYet
	}
	if queue != p.request.queue {
		p.request.setQueue(queue)
	}
	return conn.Forward(&p.command, a.config.ForwardTime, p.landed)
}

// landed runs on the reader of the broker's connection.
func (p *parcel) landed(response *remoting.Command, err error) {
	o := outcome{parcel: p, verdict: inDoubt}
	if err == nil {
		o.verdict = judge(response.Code, response.Remark)
		if o.verdict != stored {
			remark := response.Remark
			o.text = fmt.Sprintf("the broker answers %d: %s", response.Code, remark[:min(len(remark), remarkBytesMax)])
		}
	}
	p.course.landed <- o
}
