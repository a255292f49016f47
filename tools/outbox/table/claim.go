package table

import (
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// claims are what one relay asks of the database.
type claims struct {
	*Table
	db    *sql.DB
	lease time.Duration
}

// stream is a stream that this relay has.
type stream struct {
	name     string
	owner    string // unique name of the claim
	failures int
	until    time.Time // by this process's clock, not later than the database's
}

// take claims up to n streams whose names come after a name, in the order of
// their names.
func (c *claims) take(ctx context.Context, after string, n int) ([]stream, error) {
	// A name for each round, not for each relay: a relay that hangs past its
	// lease may claim the same stream again with another worker.
	owner, until := rand.Text(), time.Now().Add(c.lease)
	rows, err := c.db.QueryContext(ctx, c.statements.claim, after, owner, c.lease.Milliseconds(), n)
	if err != nil {
		return nil, fmt.Errorf("claim streams of %s: %w", c.name, err)
	}
	defer func() { _ = rows.Close() }()
	var taken []stream
	for rows.Next() {
		s := stream{owner: owner, until: until}
		if err := rows.Scan(&s.name, &s.failures); err != nil {
			return nil, fmt.Errorf("claim streams of %s: %w", c.name, err)
		}
		taken = append(taken, s)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("claim streams of %s: %w", c.name, err)
	}
	return taken, nil
}

// waiting tells whether anything is left to send. It takes no lock.
func (c *claims) waiting(ctx context.Context) (bool, error) {
	var one int
	switch err := c.db.QueryRowContext(ctx, c.statements.waiting).Scan(&one); err {
	case nil:
		return true, nil
	case sql.ErrNoRows:
		return false, nil
	default:
		return false, fmt.Errorf("look into %s: %w", c.name, err)
	}
}

// renew keeps a stream for another lease. It tells whether the relay still had
// it.
func (c *claims) renew(ctx context.Context, s *stream) (bool, error) {
	until := time.Now().Add(c.lease)
	result, err := c.db.ExecContext(ctx, c.statements.renew, c.lease.Milliseconds(), s.name, s.owner)
	if err != nil {
		return false, fmt.Errorf("renew the claim to stream %q of %s: %w", s.name, c.name, err)
	}
	changed, err := result.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("renew the claim to stream %q of %s: %w", s.name, c.name, err)
	}
	s.until = until
	return changed == 1, nil
}

// release gives a stream back, to be claimed at once.
func (c *claims) release(ctx context.Context, s *stream) error {
	if _, err := c.db.ExecContext(ctx, c.statements.release, s.name, s.owner); err != nil {
		return fmt.Errorf("release stream %q of %s: %w", s.name, c.name, err)
	}
	return nil
}

// pause gives a stream back after a failure, to be claimed after a wait.
func (c *claims) pause(ctx context.Context, s *stream, wait time.Duration) error {
	if _, err := c.db.ExecContext(ctx, c.statements.pause, wait.Milliseconds(), s.failures, s.name, s.owner); err != nil {
		return fmt.Errorf("pause stream %q of %s: %w", s.name, c.name, err)
	}
	return nil
}

// read returns the oldest rows of a stream: up to n, and no more once they
// have so many bytes.
func (c *claims) read(ctx context.Context, s *stream, n, bytes int) ([]row, error) {
	result, err := c.db.QueryContext(ctx, c.statements.read, s.name, n, bytes)
	if err != nil {
		return nil, fmt.Errorf("read stream %q of %s: %w", s.name, c.name, err)
	}
	defer func() { _ = result.Close() }()
	var rows []row
	for result.Next() {
		var r row
		if err := result.Scan(&r.id, &r.messageID, &r.topic, &r.attributes, &r.body, &r.born); err != nil {
			return nil, fmt.Errorf("read stream %q of %s: %w", s.name, c.name, err)
		}
		rows = append(rows, r)
	}
	if err := result.Err(); err != nil {
		return nil, fmt.Errorf("read stream %q of %s: %w", s.name, c.name, err)
	}
	return rows, nil
}

// remove deletes rows. Their ids are numbers, so they need no placeholders.
func (c *claims) remove(ctx context.Context, ids []int64) error {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = strconv.FormatInt(id, 10)
	}
	if _, err := c.db.ExecContext(ctx, c.statements.remove+"("+strings.Join(texts, ",")+")"); err != nil {
		return fmt.Errorf("remove %d sent messages from %s: %w", len(ids), c.name, err)
	}
	return nil
}

// quarantine sets a row aside.
func (c *claims) quarantine(ctx context.Context, id int64, reason string) error {
	if _, err := c.db.ExecContext(ctx, c.statements.quarantine, reason, id); err != nil {
		return fmt.Errorf("quarantine row %d of %s: %w", id, c.name, err)
	}
	return nil
}
