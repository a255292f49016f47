package table

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/apogeemq/apogee/tools/outbox"
)

// Quarantined is a message that was set aside.
type Quarantined struct {
	Row     int64 // id of the row
	ID      string
	Topic   string
	Since   time.Time
	Reason  string
	Message *outbox.Message // nil where the row can't be read any more
}

// Quarantined lists messages that were set aside, by their rows' ids, from
// after a row on; 0 begins with the first.
func (t *Table) Quarantined(ctx context.Context, db Querier, after int64, limit int) ([]Quarantined, error) {
	result, err := db.QueryContext(ctx, t.statements.quarantined, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list the quarantine of %s: %w", t.name, err)
	}
	defer func() { _ = result.Close() }()
	var list []Quarantined
	for result.Next() {
		var r row
		var since int64
		var reason sql.NullString
		if err := result.Scan(&r.id, &r.messageID, &r.topic, &r.attributes, &r.body, &r.born, &since, &reason); err != nil {
			return nil, fmt.Errorf("list the quarantine of %s: %w", t.name, err)
		}
		q := Quarantined{Row: r.id, ID: r.messageID, Topic: r.topic, Since: time.UnixMilli(since), Reason: reason.String}
		if m, err := r.message(); err == nil {
			q.Message = m
		}
		list = append(list, q)
	}
	if err := result.Err(); err != nil {
		return nil, fmt.Errorf("list the quarantine of %s: %w", t.name, err)
	}
	return list, nil
}

// Retry lets a message that was set aside be sent again, in its old place in
// its stream. It tells whether there was one.
func (t *Table) Retry(ctx context.Context, db Execer, row int64) (bool, error) {
	return t.change(ctx, db, "retry", t.statements.retry, row)
}

// Drop removes a message that was set aside. It tells whether there was one.
func (t *Table) Drop(ctx context.Context, db Execer, row int64) (bool, error) {
	return t.change(ctx, db, "drop", t.statements.drop, row)
}

func (t *Table) change(ctx context.Context, db Execer, action, statement string, row int64) (bool, error) {
	result, err := db.ExecContext(ctx, statement, row)
	if err != nil {
		return false, fmt.Errorf("%s row %d of %s: %w", action, row, t.name, err)
	}
	n, err := result.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("%s row %d of %s: %w", action, row, t.name, err)
	}
	return n == 1, nil
}
