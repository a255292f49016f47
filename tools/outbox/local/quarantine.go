package local

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/tools/outbox"
	"github.com/apogeemq/apogee/tools/outbox/spool"
)

// Quarantined is a message that was set aside.
type Quarantined struct {
	Number  int64 // names it
	Since   time.Time
	Reason  string
	Message *outbox.Message // nil where it can't be read any more
}

// Quarantined lists what was set aside, oldest first, at most so many.
func (s *Spool) Quarantined(ctx context.Context, limit int) ([]Quarantined, error) {
	enough := errors.New("enough")
	var list []Quarantined
	err := s.visit(ctx, func(c spool.Quarantined) error {
		if len(list) >= limit {
			return enough
		}
		q := Quarantined{Number: int64(c.Number), Since: time.UnixMilli(c.Since), Reason: c.Reason}
		if m, err := decode(c.Entry.Payload); !c.Damaged && err == nil {
			q.Message = m
		}
		list = append(list, q)
		return nil
	})
	if err != nil && !errors.Is(err, enough) {
		return nil, fmt.Errorf("list the quarantine of the outbox: %w", err)
	}
	return list, nil
}

// Retry puts a message that was set aside at the end of its stream again. It
// wraps engine.ErrNotFound where there is none of that number.
func (s *Spool) Retry(ctx context.Context, number int64) error {
	p, found := place{}, false
	err := s.visit(ctx, func(c spool.Quarantined) error {
		if int64(c.Number) == number && !c.Damaged {
			p, found = place{c.Entry.Name, c.Lane}, true
		}
		return nil
	})
	if err == nil && !found {
		err = engine.ErrNotFound
	}
	if err == nil {
		s.hold(p, 1)
		if err = s.spool.Retry(event.Offset(number)); err != nil {
			s.hold(p, -1)
		}
	}
	if err != nil {
		return fmt.Errorf("retry message %d of the outbox's quarantine: %w", number, err)
	}
	return nil
}

// visit visits the quarantine as it is now.
func (s *Spool) visit(ctx context.Context, visit func(spool.Quarantined) error) error {
	if err := s.spool.Await(ctx); err != nil {
		return err
	}
	return s.spool.VisitQuarantine(visit)
}

// Drop gives up a message that was set aside. It wraps engine.ErrNotFound where
// there is none of that number.
func (s *Spool) Drop(number int64) error {
	if err := s.spool.Drop(event.Offset(number)); err != nil {
		return fmt.Errorf("drop message %d of the outbox's quarantine: %w", number, err)
	}
	return nil
}
