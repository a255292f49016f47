package table

import (
	"context"
	"fmt"
	"time"

	"github.com/apogeemq/apogee/tools/outbox"
)

// turn is after how long a stream with more messages makes room for others.
const turn = 2 * time.Second

// ending is why a batch ended.
type ending uint8

const (
	empty   ending = iota // there was nothing to send
	sentAll               // there may be more
	blocked               // a message can't be sent now
	lost                  // the stream is another relay's, or may be
)

// serve sends a stream until it is empty, its turn is over or a message can't
// be sent, and gives it back; and until it is lost.
func (r *Relay) serve(ctx context.Context, s *stream) {
	began := time.Now()
	end := sentAll
	for end == sentAll && ctx.Err() == nil && time.Since(began) < turn {
		end = r.batch(ctx, s)
	}
	switch end {
	case lost:
		r.lost.Add(1)
	case blocked:
		s.failures++
		wait := r.options.Backoff.After(s.failures)
		r.insist(ctx, s, func(ctx context.Context) error { return r.claims.pause(ctx, s, wait) })
	default:
		r.insist(ctx, s, func(ctx context.Context) error { return r.claims.release(ctx, s) })
	}
}

// batch reads the oldest rows of a stream, sends them in their order and
// removes those that were sent.
func (r *Relay) batch(ctx context.Context, s *stream) ending {
	rows, err := r.claims.read(ctx, s, r.options.BatchMax, batchBytes)
	if ctx.Err() != nil { // the relay ends: no failure of the stream
		return sentAll
	}
	if err != nil {
		r.complain(ctx, err)
		return blocked
	}
	if len(rows) == 0 {
		return empty
	}
	sent, end := r.sendRows(ctx, s, rows)
	if len(sent) > 0 {
		s.failures = 0
		if !r.insist(ctx, s, func(ctx context.Context) error { return r.claims.remove(ctx, sent) }) {
			return lost // they would be read again
		}
	}
	return end
}

// sendRows sends rows until one can't be sent, and returns the ids of those
// that were.
func (r *Relay) sendRows(ctx context.Context, s *stream, rows []row) (sent []int64, end ending) {
	for i := range rows {
		if ctx.Err() != nil {
			return sent, sentAll
		}
		if !r.keeps(ctx, s) {
			return sent, lost
		}
		err := r.attempt(ctx, &rows[i])
		switch outbox.Class(err) {
		case nil:
			sent = append(sent, rows[i].id)
		case outbox.ErrRefused:
			if !r.setAside(ctx, s, &rows[i], err) {
				return sent, lost
			}
		default:
			return sent, blocked
		}
	}
	return sent, sentAll
}

// keeps tells whether the stream is this relay's for longer than an attempt
// takes, and renews the claim in time.
func (r *Relay) keeps(ctx context.Context, s *stream) bool {
	if time.Until(s.until) > r.options.Lease/2 {
		return true
	}
	kept, err := r.claims.renew(context.WithoutCancel(ctx), s)
	if err != nil {
		r.complain(ctx, err)
	}
	return err == nil && kept
}

// attempt tries to send a row. The end of the relay doesn't end the attempt.
func (r *Relay) attempt(ctx context.Context, row *row) error {
	m, err := row.message()
	if err != nil {
		return fmt.Errorf("%w: %w", outbox.ErrRefused, err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.options.AttemptTimeout)
	defer cancel()
	_, err = r.sender.Send(ctx, m)
	switch outbox.Class(err) {
	case nil:
		r.sent.Add(1)
		r.failures.Store(0)
	case outbox.ErrRefused:
	case outbox.ErrInDoubt:
		r.doubts.Add(1)
		fallthrough
	default:
		r.failed.Add(1)
		r.failures.Add(1)
	}
	return err
}

// setAside puts a row that is refused for good into quarantine.
func (r *Relay) setAside(ctx context.Context, s *stream, row *row, reason error) bool {
	r.options.Logger.Error("a message is refused for good and is set aside",
		"table", r.claims.name, "row", row.id, "id", row.messageID, "topic", row.topic, "error", reason)
	r.quarantined.Add(1)
	return r.insist(ctx, s, func(ctx context.Context) error { return r.claims.quarantine(ctx, row.id, reason.Error()) })
}

// insist makes a statement that follows from what was sent, also when the relay
// is about to end, again and again while the stream is this relay's. It tells
// whether it was made.
func (r *Relay) insist(ctx context.Context, s *stream, statement func(context.Context) error) bool {
	ctx, cancel := context.WithDeadline(context.WithoutCancel(ctx), s.until)
	defer cancel()
	for failures := 1; ; failures++ {
		err := statement(ctx)
		if err == nil {
			return true
		}
		r.complain(ctx, err)
		timer := time.NewTimer(r.options.Backoff.After(failures))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return false
		}
	}
}

// complain tells of an error of the database, unless the relay's end is its
// cause.
func (r *Relay) complain(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	r.databaseErrors.Add(1)
	r.options.Logger.Error("the relay can't reach its outbox", "error", err)
}
