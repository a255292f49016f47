package duty

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/pending"
	"github.com/apogeemq/apogee/server/broker/delay"
	"github.com/apogeemq/apogee/server/broker/settlement"
)

const (
	// deliveryBytesMax and deliveriesMax bound what is proposed and not stored.
	// The log takes that much with one sync; more would only make others wait.
	deliveryBytesMax = 256 << 10
	deliveriesMax    = 1024
	// gatherMax is how many due messages are looked up at once.
	gatherMax = 1 << 14
	// retryTime is the pause after a proposal was refused.
	retryTime = 100 * time.Millisecond
	// clockCheck bounds a wait, as the clock may be set.
	clockCheck = time.Second
)

// Waiting is the table of waiting messages as applied.
type Waiting interface {
	Due(kind event.Kind, through int64, visit func(pending.Entry) bool) (next int64, err error)
	Sooner(kind event.Kind) <-chan struct{}
	Before(position event.Position, visit func(pending.Entry) bool) error
	Counts() pending.Counts
}

// Events reads the log as applied.
type Events interface {
	ReadEntry(position event.Position, bytes int, visit func(engine.Message) error) error
	WaitApplied(ctx context.Context, position event.Position) error
}

var errUnknown = errors.New("what became of some of them is not known; they are not proposed again by this process")

// DeliveryConfig is what a Delivery works with.
type DeliveryConfig struct {
	Waiting    Waiting
	Events     Events
	Topics     delay.Topics
	Proposer   Proposer
	Settlement *settlement.Settlement
	Clock      func() time.Time
	Log        *slog.Logger
}

// Delivery is the duty that delivers delayed messages when they are due.
type Delivery struct {
	config  DeliveryConfig
	metrics *deliveryMetrics
	pool    sync.Pool // of *delivery
	due     []pending.Entry
	trouble trouble

	mu      sync.Mutex
	changed sync.Cond
	count   int // in flight
	bytes   int
	last    event.Position // of what was stored
	failed  bool           // an outcome is in doubt; its handle stays taken
}

// NewDelivery returns the duty; Run does it.
func NewDelivery(c DeliveryConfig) *Delivery {
	d := &Delivery{config: c, metrics: newDeliveryMetrics(c.Waiting), trouble: newTrouble()}
	d.changed.L = &d.mu
	d.pool.New = func() any { return &delivery{duty: d} }
	return d
}

// Run delivers what is due until the context ends.
func (d *Delivery) Run(ctx context.Context) {
	unhook := context.AfterFunc(ctx, d.broadcast)
	defer unhook()
	warned := false
	for ctx.Err() == nil {
		next, err := d.Look(ctx)
		wait := clockCheck
		if err == nil {
			wait = min(wait, time.Duration(min(next-d.config.Clock().UnixMilli(), int64(clockCheck/time.Millisecond)))*time.Millisecond)
		} else {
			wait = retryTime
			if !warned && ctx.Err() == nil {
				d.config.Log.Warn("delayed messages that are due are not delivered; they are tried again and again", "cause", err)
			}
		}
		warned = err != nil
		d.pause(ctx, wait)
	}
}

func (d *Delivery) pause(ctx context.Context, wait time.Duration) {
	if wait <= 0 {
		return
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-d.config.Waiting.Sooner(event.KindDelayed):
	}
}

func (d *Delivery) broadcast() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changed.Broadcast()
}

// Look delivers everything that is due by now and returns when that is applied,
// with the time of what is due next, math.MaxInt64 for nothing. One goroutine
// at a time calls it.
func (d *Delivery) Look(ctx context.Context) (next int64, err error) {
	for {
		d.due = d.due[:0]
		now := d.config.Clock()
		next, err = d.config.Waiting.Due(event.KindDelayed, now.UnixMilli(), func(e pending.Entry) bool {
			if len(d.due) == gatherMax {
				return false
			}
			if !d.trouble.leavesAlone(e.Handle, now) {
				d.due = append(d.due, e)
			}
			return true
		})
		if err != nil || len(d.due) == 0 {
			return next, err
		}
		begun, err := d.deliverAll(ctx)
		if err = errors.Join(err, d.settle(ctx)); err != nil {
			return math.MaxInt64, err
		}
		if begun == 0 { // others have decided about all of them, or they can't be read
			return now.Add(retryTime).UnixMilli(), nil
		}
	}
}

// deliverAll proposes what was gathered and returns how many it has begun.
func (d *Delivery) deliverAll(ctx context.Context) (begun int, err error) {
	defer func() { d.trouble.report(d.config.Log) }()
	for i := range d.due {
		if err := d.admit(ctx); err != nil {
			return begun, err
		}
		ok, err := d.deliver(&d.due[i])
		if err != nil {
			return begun, err
		}
		if ok {
			begun++
		}
	}
	return begun, nil
}

// admit waits until another message may be in flight.
func (d *Delivery) admit(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for (d.bytes >= deliveryBytesMax || d.count >= deliveriesMax) && ctx.Err() == nil {
		d.changed.Wait()
	}
	return ctx.Err()
}

// settle waits until everything in flight is stored and applied.
func (d *Delivery) settle(ctx context.Context) error {
	d.mu.Lock()
	for d.count > 0 && ctx.Err() == nil {
		d.changed.Wait()
	}
	last, failed := d.last, d.failed
	d.failed = false
	d.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case failed:
		return errUnknown
	case last == 0:
		return nil
	}
	return d.config.Events.WaitApplied(ctx, last)
}

// deliver proposes one message. false: it doesn't wait any more, something else
// is decided about it, or it can't be read.
func (d *Delivery) deliver(e *pending.Entry) (bool, error) {
	entry, ok, err := d.config.Settlement.Begin(e.Handle)
	if err != nil || !ok {
		return false, err
	}
	p := d.pool.Get().(*delivery)
	if err := p.load(entry); err != nil {
		d.config.Settlement.Withdraw(entry.Handle)
		d.release(p)
		d.metrics.unreadable.Inc()
		d.trouble.unreadable(entry, d.config.Clock(), err)
		return false, nil
	}
	d.mu.Lock()
	d.count++
	d.bytes += p.bytes
	d.mu.Unlock()
	if err := d.config.Proposer.Propose(&p.proposal); err != nil {
		d.config.Settlement.Withdraw(entry.Handle)
		d.finished(p)
		return false, err
	}
	return true, nil
}

func (d *Delivery) finished(p *delivery) {
	d.mu.Lock()
	d.count--
	d.bytes -= p.bytes
	if d.count == 0 || d.bytes < deliveryBytesMax/2 {
		d.changed.Broadcast()
	}
	d.mu.Unlock()
	d.release(p)
}

// keepDeliveryBytes bounds the memory that a pooled delivery keeps.
const keepDeliveryBytes = 16 << 10

func (d *Delivery) release(p *delivery) {
	if p.message.KeptBytes() <= keepDeliveryBytes {
		d.pool.Put(p)
	}
}

// delivery is a delayed message on its way into its topic.
type delivery struct {
	duty     *Delivery
	entry    pending.Entry
	dropped  bool
	bytes    int
	message  delay.Message
	drafts   [1]event.Draft
	proposal engine.Proposal
}

// load reads the message and makes the proposal.
func (p *delivery) load(entry pending.Entry) error {
	c := &p.duty.config
	p.entry, p.dropped = entry, false
	found := false
	err := c.Events.ReadEntry(entry.Location, int(entry.Bytes), func(m engine.Message) error {
		payload, err := settlement.Record(m.Event)
		if err != nil {
			return err
		}
		found, err = p.message.Load(delay.Waited{Handle: entry.Handle, Record: payload, Stored: m.Timestamp}, c.Topics, c.Clock().UnixMilli())
		return err
	})
	if err != nil {
		return err
	}
	p.drafts[0] = p.message.Draft
	if !found {
		p.duty.trouble.topicless(entry)
		p.dropped = true
		p.drafts[0] = event.Draft{Kind: event.KindDropped, Cause: entry.Handle, Keys: []uint64{event.CauseHash(entry.Handle)},
			Payload: event.Bytes(event.AppendDrop(nil, event.Drop{Reason: event.DropNoTopic}))}
	}
	p.proposal = engine.Proposal{Drafts: p.drafts[:], Completion: p}
	p.bytes = p.proposal.EncodedBytes()
	return nil
}

// Complete runs on the log's completion goroutine.
func (p *delivery) Complete(proposal *engine.Proposal) {
	d := p.duty
	if proposal.Outcome == engine.OutcomeUnknown {
		d.mu.Lock()
		d.failed = true
		d.mu.Unlock()
		d.finished(p)
		return
	}
	d.config.Settlement.Concluded(p.entry.Handle, proposal.Position)
	d.mu.Lock()
	d.last = max(d.last, proposal.Position)
	d.mu.Unlock()
	if p.dropped {
		d.metrics.dropped.Inc()
	} else {
		d.metrics.delivered(proposal.Timestamp - p.entry.Due)
	}
	d.finished(p)
}
