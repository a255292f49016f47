package table

import (
	"context"
	"database/sql"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apogeemq/apogee/tools/outbox"
)

// RelayOptions are the choices of a relay. The zero value is good.
type RelayOptions struct {
	// Interval is how often an empty table is looked at; 0 takes 500 ms.
	Interval time.Duration
	// AttemptTimeout limits one attempt to send; 0 takes 3 s.
	AttemptTimeout time.Duration
	// Lease is how long a claim to a stream lasts unless it is renewed, so how
	// long the streams of a relay that died wait; 0 takes 15 s. It is at least
	// four times AttemptTimeout.
	Lease time.Duration
	// Backoff is between attempts with one stream, and between attempts of the
	// relay while nothing at all can be sent.
	Backoff outbox.Backoff
	// Workers is how many streams are sent at a time; 0 takes 8.
	Workers int
	// BatchMax is how many messages of a stream are read, and removed when all
	// were sent, in one statement, so how many are sent twice when the relay
	// dies in between; 0 takes 100.
	BatchMax int
	// Logger gets what an operator should know; nil takes slog's default.
	Logger *slog.Logger
}

const (
	intervalDefault       = 500 * time.Millisecond
	attemptTimeoutDefault = 3 * time.Second
	leaseDefault          = 15 * time.Second
	leaseAttempts         = 4
	workersDefault        = 8
	batchMaxDefault       = 100
	batchBytes            = 4 << 20 // after which no more rows are read
)

func (o RelayOptions) withDefaults() RelayOptions {
	orDuration := func(d *time.Duration, or time.Duration) {
		if *d <= 0 {
			*d = or
		}
	}
	orNumber := func(n *int, or int) {
		if *n <= 0 {
			*n = or
		}
	}
	orDuration(&o.Interval, intervalDefault)
	orDuration(&o.AttemptTimeout, attemptTimeoutDefault)
	orDuration(&o.Lease, leaseDefault)
	o.Lease = max(o.Lease, leaseAttempts*o.AttemptTimeout)
	orNumber(&o.Workers, workersDefault)
	orNumber(&o.BatchMax, batchMaxDefault)
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// Relay sends what is in a table. Any number of them may run on one table.
type Relay struct {
	options RelayOptions
	claims  claims
	sender  outbox.Sender
	wake    chan struct{}

	workers sync.WaitGroup
	idle    chan struct{} // has a token per worker without a stream

	sent, failed, doubts, quarantined, lost, databaseErrors atomic.Int64
	failures                                                atomic.Int64 // attempts since the last that succeeded
}

// Relay makes a relay that sends through sender. It does nothing until Run.
func (t *Table) Relay(db *sql.DB, sender outbox.Sender, options RelayOptions) *Relay {
	o := options.withDefaults()
	r := &Relay{options: o, sender: sender, wake: make(chan struct{}, 1), idle: make(chan struct{}, o.Workers),
		claims: claims{Table: t, db: db, lease: o.Lease}}
	for range o.Workers {
		r.idle <- struct{}{}
	}
	return r
}

// Wake lets the relay look into the table now. Call it after a commit with
// messages in it, so that they don't wait for the interval. It never blocks.
func (r *Relay) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Run sends until ctx ends; then it lets the attempts that are under way end,
// removes what they have sent, and gives its streams back. Errors of the
// database are logged and counted; the relay goes on after a wait. A relay runs
// once.
func (r *Relay) Run(ctx context.Context) {
	defer r.workers.Wait()
	errors := 0
	for after := ""; ctx.Err() == nil; {
		last, err := r.round(ctx, after)
		switch {
		case ctx.Err() != nil:
		case err != nil:
			errors++
			r.complain(ctx, err)
			r.rest(ctx, r.options.Backoff.After(errors))
		case last == "" && after == "": // nothing is free, anywhere
			errors = 0
			r.rest(ctx, r.options.Interval)
		default:
			after, errors = last, 0
		}
		r.restWhileNothingIsAccepted(ctx)
	}
}

// round gives streams after a name to the workers that have none. It returns
// the last name, or "" when there are no more.
func (r *Relay) round(ctx context.Context, after string) (last string, err error) {
	free := r.takeIdle(ctx)
	given := 0
	defer func() {
		for range free - given {
			r.idle <- struct{}{}
		}
	}()
	waiting, err := r.claims.waiting(ctx)
	if err != nil || !waiting {
		return "", err
	}
	// The end of the relay must not leave a claim that it hasn't heard of.
	claiming, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.options.Lease)
	defer cancel()
	taken, err := r.claims.take(claiming, after, free)
	if err != nil {
		return "", err
	}
	for i := range taken {
		given++
		last = max(last, taken[i].name)
		r.workers.Go(func() {
			r.serve(ctx, &taken[i])
			r.idle <- struct{}{}
		})
	}
	if len(taken) < free {
		last = ""
	}
	return last, nil
}

// takeIdle waits for a worker without a stream and takes all there are.
func (r *Relay) takeIdle(ctx context.Context) (n int) {
	select {
	case <-r.idle:
		n++
	case <-ctx.Done():
		return 0
	}
	for {
		select {
		case <-r.idle:
			n++
		default:
			return n
		}
	}
}

// restWhileNothingIsAccepted waits once each worker has failed since the last
// message that could be sent: then it's not the streams.
func (r *Relay) restWhileNothingIsAccepted(ctx context.Context) {
	if rounds := int(r.failures.Load()) / r.options.Workers; rounds > 0 {
		r.rest(ctx, r.options.Backoff.After(rounds))
	}
}

// rest waits for a time, or until the relay is woken or ends.
func (r *Relay) rest(ctx context.Context, wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.wake:
	case <-ctx.Done():
	}
}
