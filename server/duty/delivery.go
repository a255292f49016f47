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
	ReadEntries(places []engine.EntryPlace, visit func(i int, m engine.Message, err error)) error
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
	pool    sync.Pool // of *parcel
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
	d.pool.New = func() any { return &parcel{duty: d} }
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
		next, begun, err := d.lookOnce(ctx)
		if err != nil || begun == 0 {
			return next, err
		}
	}
}

// lookOnce delivers what one look finds, and returns how many it has begun: 0
// where nothing can be delivered before next.
func (d *Delivery) lookOnce(ctx context.Context) (next int64, begun int, err error) {
	d.config.Settlement.Watch()
	defer d.config.Settlement.Unwatch()
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
		return next, 0, err
	}
	begun, err = d.deliverAll(ctx)
	if err = errors.Join(err, d.settle(ctx)); err != nil {
		return math.MaxInt64, begun, err
	}
	if begun == 0 { // others have decided about all of them, or they can't be read
		next = now.Add(retryTime).UnixMilli()
	}
	return next, begun, nil
}

// deliverAll proposes what was gathered, parcel by parcel, and returns how many
// messages it has begun.
func (d *Delivery) deliverAll(ctx context.Context) (begun int, err error) {
	defer func() { d.trouble.report(d.config.Log) }()
	for due := d.due; len(due) > 0; {
		if err := d.admit(ctx); err != nil {
			return begun, err
		}
		n := portion(due)
		count, err := d.deliver(due[:n])
		begun += count
		if err != nil {
			return begun, err
		}
		due = due[n:]
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

// deliver proposes a parcel and returns how many messages are in it: those that
// still wait, about which nothing else is decided, and that can be read.
func (d *Delivery) deliver(due []pending.Entry) (int, error) {
	entries, err := d.config.Settlement.BeginSeen(due)
	if err != nil || len(entries) == 0 {
		return 0, err
	}
	p := d.pool.Get().(*parcel)
	if err := p.load(entries); err != nil {
		d.config.Settlement.WithdrawAll(p.entries)
		d.release(p)
		return 0, err
	}
	count := len(p.entries)
	if count == 0 {
		d.release(p)
		return 0, nil
	}
	d.mu.Lock()
	d.count += count
	d.bytes += p.bytes
	d.mu.Unlock()
	if err := d.config.Proposer.Propose(&p.proposal); err != nil {
		d.config.Settlement.WithdrawAll(p.entries)
		d.finished(p)
		return 0, err
	}
	return count, nil
}

func (d *Delivery) finished(p *parcel) {
	d.mu.Lock()
	d.count -= len(p.entries)
	d.bytes -= p.bytes
	if d.count == 0 || d.bytes < deliveryBytesMax/2 {
		d.changed.Broadcast()
	}
	d.mu.Unlock()
	d.release(p)
}

func (d *Delivery) release(p *parcel) {
	p.shrink()
	d.pool.Put(p)
}
