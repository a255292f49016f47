package table

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Stats counts what a relay has done since it was made.
type Stats struct {
	Sent           int64 // messages that brokers took
	Failed         int64 // attempts of which a later one may succeed
	InDoubt        int64 // of these, those whose message may be stored
	Quarantined    int64 // messages that were set aside
	ClaimsLost     int64 // streams that another relay took over, as this one or its database was slow
	DatabaseErrors int64
}

// Stats returns the counts as they are now.
func (r *Relay) Stats() Stats {
	return Stats{Sent: r.sent.Load(), Failed: r.failed.Load(), InDoubt: r.doubts.Load(), Quarantined: r.quarantined.Load(),
		ClaimsLost: r.lost.Load(), DatabaseErrors: r.databaseErrors.Load()}
}

// Backlog is what a table holds.
type Backlog struct {
	Waiting     int64         // messages to be sent
	Oldest      time.Duration // age of the oldest of them
	Quarantined int64
}

// Backlog counts the rows; that takes the longer the more there are.
func (t *Table) Backlog(ctx context.Context, db *sql.DB) (Backlog, error) {
	var all, quarantined, oldest int64
	if err := db.QueryRowContext(ctx, t.statements.backlog).Scan(&all, &quarantined); err != nil {
		return Backlog{}, fmt.Errorf("count the rows of %s: %w", t.name, err)
	}
	err := db.QueryRowContext(ctx, t.statements.oldest).Scan(&oldest)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return Backlog{}, fmt.Errorf("find the oldest row of %s: %w", t.name, err)
	}
	return Backlog{Waiting: all - quarantined, Oldest: time.Duration(oldest) * time.Millisecond, Quarantined: quarantined}, nil
}
