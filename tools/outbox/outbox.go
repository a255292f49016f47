package outbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// ErrClosed is the error of an outbox after Close.
var ErrClosed = errors.New("the outbox is closed")

// Options are the choices of an outbox. The zero value is good.
type Options struct {
	// AttemptTimeout limits one attempt to send; 0 takes 1.5 s. What isn't
	// answered by then is in doubt.
	AttemptTimeout time.Duration
	// Backoff is between the attempts with one message, and for how long new
	// messages of a topic are spooled at once after one could not be sent.
	Backoff Backoff
	// Workers is how many messages are sent from the spool at a time; 0 takes 16.
	Workers int
	// Logger gets what an operator should know; nil takes slog's default.
	Logger *slog.Logger
}

const (
	attemptTimeoutDefault = 1500 * time.Millisecond
	workersDefault        = 16
)

func (o Options) withDefaults() Options {
	if o.AttemptTimeout <= 0 {
		o.AttemptTimeout = attemptTimeoutDefault
	}
	if o.Workers <= 0 {
		o.Workers = workersDefault
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// Result is how Send got rid of a message.
type Result uint8

// A message is either with a broker, or durable on this machine.
const (
	Delivered Result = iota + 1 // a broker has it
	Spooled                     // it is kept here and is sent later
)

// String is a word for people.
func (r Result) String() string {
	switch r {
	case Delivered:
		return "delivered"
	case Spooled:
		return "spooled"
	}
	return "neither"
}

// Outbox sends messages, and keeps those that can't be sent until they can. It
// is safe for concurrent use.
type Outbox struct {
	options Options
	sender  Sender
	spool   Spool
	topics  pauses

	context context.Context // ended by Close
	stop    context.CancelFunc
	workers sync.WaitGroup

	delivered, spooled, drained, refused, failed, doubts atomic.Int64
}

// Open makes an outbox that sends through sender and keeps what it can't send
// in spool, which stays the caller's to close. What the spool holds already is
// sent from now on.
func Open(sender Sender, spool Spool, options Options) *Outbox {
	o := &Outbox{options: options.withDefaults(), sender: sender, spool: spool, topics: pauses{backoff: options.Backoff}}
	o.context, o.stop = context.WithCancel(context.Background())
	for range o.options.Workers {
		o.workers.Go(o.drain)
	}
	return o
}

// Close ends the sending. An attempt under way is given up, and its message is
// in doubt; it stays in the spool, as all others do.
func (o *Outbox) Close() {
	o.stop()
	o.workers.Wait()
}

// Send gets rid of the message: with a broker if one takes it, else in the
// spool. The message is given its unique id and must not be changed until Send
// returns. While its stream has others in the spool it joins them, so that the
// order is kept.
//
// With an error the message is nowhere that this outbox knows of. It wraps
// ErrRefused: no broker would ever take the message; ErrFull: it could not be
// sent, and the spool has no room (ErrInDoubt beside it: a broker may have it
// all the same); ErrClosed; or it is that of the spool's disk. An end of ctx
// gives up the attempt to send, not the message: it is spooled.
func (o *Outbox) Send(ctx context.Context, m *Message) (Result, Receipt, error) {
	if err := m.Prepare(); err != nil {
		o.refused.Add(1)
		return 0, Receipt{}, err
	}
	if o.context.Err() != nil {
		return 0, Receipt{}, ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return 0, Receipt{}, fmt.Errorf("send message %s: %w: %w", m.ID, ErrNotAccepted, err)
	}
	if o.spool.Holds(m) || o.topics.paused(m.Topic) {
		return o.keep(m, nil)
	}
	receipt, err := o.attempt(ctx, m)
	switch Class(err) {
	case nil:
		o.delivered.Add(1)
		return Delivered, receipt, nil
	case ErrRefused:
		o.refused.Add(1)
		return 0, Receipt{}, err
	}
	return o.keep(m, err)
}

// keep spools a message, after an attempt that failed with cause, if any.
func (o *Outbox) keep(m *Message, cause error) (Result, Receipt, error) {
	if err := o.spool.Append(m, Class(cause) == ErrInDoubt); err != nil {
		if cause != nil {
			err = fmt.Errorf("%w (spooled because: %w)", err, cause)
		}
		return 0, Receipt{}, fmt.Errorf("keep message %s: %w", m.ID, err)
	}
	o.spooled.Add(1)
	return Spooled, Receipt{Offset: -1}, nil
}

// attempt tries once, and learns whether the topic can be reached.
func (o *Outbox) attempt(ctx context.Context, m *Message) (Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, o.options.AttemptTimeout)
	defer cancel()
	receipt, err := o.sender.Send(ctx, m)
	switch Class(err) {
	case nil, ErrRefused:
		o.topics.resume(m.Topic)
	case ErrInDoubt:
		o.doubts.Add(1)
		o.failed.Add(1)
		o.topics.pause(m.Topic)
	default:
		o.failed.Add(1)
		o.topics.pause(m.Topic)
	}
	return receipt, err
}

// Stats counts what an outbox has done since it was opened.
type Stats struct {
	Delivered int64 // by Send, at once
	Spooled   int64 // by Send
	Drained   int64 // delivered from the spool
	Refused   int64 // for good, by this outbox or a broker
	Failed    int64 // attempts of which a later one may succeed
	InDoubt   int64 // of these, those whose message may be stored
	Spool     SpoolStats
}

// Stats returns the counts as they are now.
func (o *Outbox) Stats() Stats {
	return Stats{Delivered: o.delivered.Load(), Spooled: o.spooled.Load(), Drained: o.drained.Load(), Refused: o.refused.Load(),
		Failed: o.failed.Load(), InDoubt: o.doubts.Load(), Spool: o.spool.Stats()}
}
