package load

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/apogeemq/apogee/bench/frame"
	"github.com/apogeemq/apogee/server/remoting"
)

// pullReadBytes holds some full replies of 32 records of 1 KiB.
const pullReadBytes = 512 << 10

// Reading says what a pull load does at the end of a queue.
type Reading string

const (
	// ReadAgain starts again from the first offset until the time is over: a
	// backlog that is not larger than the broker's cache is read warm.
	ReadAgain Reading = "again"
	// ReadOnce drains each queue once, as it was when the load began.
	ReadOnce Reading = "once"
)

// PullOptions describe a load of pulls.
type PullOptions struct {
	Target
	Consumers int     // each has one pull in flight and its share of the queues
	Count     int     // messages asked for in a pull
	Last      int64   // read only so many messages at the end of each queue, 0 for all
	Reading   Reading // what to do at the end
	Group     string  // consumer group
}

func (o *PullOptions) check() error {
	if err := o.Target.check(); err != nil {
		return err
	}
	switch {
	case o.Consumers < 1 || o.Consumers > o.Queues:
		return fmt.Errorf("run load: %d consumers for %d queues: at least 1, at most one per queue", o.Consumers, o.Queues)
	case o.Count < 1:
		return fmt.Errorf("run load: %d messages per pull, at least 1 is needed", o.Count)
	case o.Last < 0:
		return fmt.Errorf("run load: the last %d messages: 0 (all) or more is needed", o.Last)
	case o.Reading != ReadAgain && o.Reading != ReadOnce:
		return fmt.Errorf("run load: reading %q: allowed are %s and %s", o.Reading, ReadAgain, ReadOnce)
	}
	return nil
}

// String is the load in one readable line.
func (o *PullOptions) String() string {
	return fmt.Sprintf("pull from %s: %d queues, %d consumers over %d connections, %d per pull, read %s, %s header",
		o.Address, o.Queues, o.Consumers, o.connections(), o.Count, o.Reading, o.Serialization)
}

func (o *PullOptions) connections() int { return min(o.Connections, o.Consumers) }

// Pull runs the load and returns what it measured. Canceling ctx ends it with
// an error.
func Pull(ctx context.Context, o PullOptions) (*Result, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	cursors, err := openCursors(ctx, &o)
	if err != nil {
		return nil, err
	}
	conns, err := dial(ctx, &o.Target, o.connections())
	if err != nil {
		return nil, err
	}
	defer closeAll(conns)
	w := &window{base: time.Now(), from: o.Warmup, to: o.Warmup + o.Duration}
	workers := make([]worker, len(conns))
	assigned := 0
	for i, conn := range conns {
		slots := share(o.Consumers, len(conns), i)
		p := &puller{stream: newStream(conn, w, o.signature(), slots, pullReadBytes), reading: o.Reading}
		for range slots {
			p.consumers = append(p.consumers, newConsumer(cursors, o.Consumers, assigned))
			assigned++
		}
		workers[i] = p
	}
	result, err := measure(ctx, &o.Target, w, crew{conns: conns, workers: workers, zeroName: "FOUND"})
	if err != nil {
		return nil, err
	}
	result.Load = o.String()
	return result, nil
}

// cursor reads one queue.
type cursor struct {
	request
	queue            int
	first, next, end int64
}

// openCursors asks for the bounds of all queues.
func openCursors(ctx context.Context, o *PullOptions) ([]*cursor, error) {
	c, err := dialControl(ctx, o.Self, o.Address, o.Serialization)
	if err != nil {
		return nil, err
	}
	defer c.close()
	var cursors []*cursor
	var messages int64
	for queue := range o.Queues {
		first, err := c.bound(ctx, remoting.RequestGetMinOffset, o.Topic, queue)
		if err != nil {
			return nil, err
		}
		end, err := c.bound(ctx, remoting.RequestGetMaxOffset, o.Topic, queue)
		if err != nil {
			return nil, err
		}
		if o.Last > 0 {
			first = max(first, end-o.Last)
		}
		messages += end - first
		request, err := newPullRequest(o, queue)
		if err != nil {
			return nil, err
		}
		cursors = append(cursors, &cursor{request: request, queue: queue, first: first, next: first, end: end})
	}
	if messages == 0 {
		return nil, fmt.Errorf("pull from topic %q: it has no messages: send some first", o.Topic)
	}
	return cursors, nil
}

// consumer has one pull in flight at a time and goes round its queues.
type consumer struct {
	cursors []*cursor
	current int
}

func newConsumer(all []*cursor, consumers, i int) *consumer {
	c := &consumer{}
	for queue := i; queue < len(all); queue += consumers {
		c.cursors = append(c.cursors, all[queue])
	}
	return c
}

// advance moves to the next queue that has something to read, or returns
// false when none has.
func (c *consumer) advance(r Reading) bool {
	for range c.cursors {
		c.current = (c.current + 1) % len(c.cursors)
		at := c.cursors[c.current]
		if at.next >= at.end && r == ReadAgain {
			at.next = at.first
		}
		if at.next < at.end {
			return true
		}
	}
	return false
}

// puller is the pull load of one connection.
type puller struct {
	stream
	reading   Reading
	consumers []*consumer
}

func (p *puller) run() error {
	now := p.window.now()
	for slot := range p.consumers {
		p.pull(slot, now)
	}
	return p.drive(p.handle)
}

func (p *puller) pull(slot int, now time.Duration) {
	c := p.consumers[slot]
	if !c.advance(p.reading) {
		return
	}
	at := c.cursors[c.current]
	from := len(p.out)
	p.out = at.append(p.out, frame.OpaqueBase+int32(slot), at.next)
	p.signature.put(p.out[from:], at.signatureAt)
	p.depart(slot, now)
}

// handle counts one reply and sends the consumer's next pull.
func (p *puller) handle(f *frame.Frame, now time.Duration) error {
	code, opaque, err := f.CodeAndOpaque()
	if err != nil {
		return err
	}
	slot, sent, err := p.arrive(opaque)
	if err != nil {
		return err
	}
	c := p.consumers[slot]
	if err := p.count(c.cursors[c.current], f, code, sent, now); err != nil {
		return err
	}
	if now < p.window.to {
		p.pull(slot, now)
	}
	return nil
}

func (p *puller) count(at *cursor, f *frame.Frame, code int32, sent, now time.Duration) error {
	counted := p.window.holds(now)
	if code != 0 {
		if counted {
			p.tally.refuse(code, f.Remark())
		}
		return at.move(f, code)
	}
	got, err := checkRecords(f.Body, at.queue, at.next)
	if err != nil {
		return err
	}
	if got.count == 0 {
		return fmt.Errorf("pull queue %d from offset %d: found, but no record came: %w", at.queue, at.next, ErrRecord)
	}
	at.next = got.next
	if !counted {
		return nil
	}
	p.tally.stored++
	p.tally.records += int64(len(f.Body))
	return p.tally.record(sent, now, got.count, got.bytes)
}

// move follows a reply without records: the broker names the next offset. A
// code that is not about offsets is counted, and the pull is tried again.
func (at *cursor) move(f *frame.Frame, code int32) error {
	switch code {
	case remoting.ResponsePullNotFound:
		at.next = at.end
		return nil
	case remoting.ResponsePullRetryImmediately, remoting.ResponsePullOffsetMoved:
	default:
		return nil
	}
	text, ok := f.Field("nextBeginOffset")
	next, err := strconv.ParseInt(string(text), 10, 64)
	if !ok || err != nil {
		return errors.Join(fmt.Errorf("pull queue %d: code %d without nextBeginOffset: %w", at.queue, code, frame.ErrMalformed), err)
	}
	at.next = next
	return nil
}
