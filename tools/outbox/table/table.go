package table

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/apogeemq/apogee/tools/outbox"
)

// NameDefault is the name of the table unless another is given.
const NameDefault = "apogee_outbox"

// Table is an outbox in a database: its dialect and its name. It holds no
// connection and is safe for concurrent use.
type Table struct {
	dialect    Dialect
	name       string
	statements statements
}

// New names an outbox; "" takes NameDefault. It doesn't reach the database.
func New(dialect Dialect, name string) (*Table, error) {
	if dialect != PostgreSQL && dialect != SQLite {
		return nil, fmt.Errorf("make an outbox of dialect %d: choose table.PostgreSQL or table.SQLite", dialect)
	}
	if name == "" {
		name = NameDefault
	}
	if err := checkName(name); err != nil {
		return nil, err
	}
	return &Table{dialect: dialect, name: name, statements: newStatements(dialect, name)}, nil
}

// Schema is the statements that make the tables where they are missing, for
// the application's migrations. Each ends with a semicolon.
func (t *Table) Schema() string { return t.dialect.statement(t.dialect.schema(), t.name) }

// Create runs the statements of Schema.
func (t *Table) Create(ctx context.Context, db Execer) error {
	for statement := range strings.SplitSeq(strings.TrimSpace(t.Schema()), ";\n") {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("create the outbox's tables %s: %w", t.name, err)
		}
	}
	return nil
}

// Execer runs a statement: a *sql.Tx, *sql.Conn or *sql.DB.
type Execer interface {
	ExecContext(ctx context.Context, query string, arguments ...any) (sql.Result, error)
}

// Querier reads rows: a *sql.Tx, *sql.Conn or *sql.DB.
type Querier interface {
	QueryContext(ctx context.Context, query string, arguments ...any) (*sql.Rows, error)
}

// Enqueue writes messages into the outbox in the caller's transaction, in their
// order. They are sent after it has committed. Each is given its unique id. An
// error of class outbox.ErrRefused comes before anything is written; any other
// is the database's, and the transaction must be rolled back.
func (t *Table) Enqueue(ctx context.Context, tx Execer, messages ...*outbox.Message) error {
	for _, m := range messages {
		if err := m.Prepare(); err != nil {
			return err
		}
	}
	for _, m := range messages {
		attributes, err := m.Attributes()
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, t.statements.enqueue,
			streamName(m), m.ID, m.Topic, string(attributes), m.Body, m.Born.UnixMilli()); err != nil {
			return fmt.Errorf("enqueue message %s in %s: %w", m.ID, t.name, err)
		}
	}
	return nil
}

// Names of streams are part of an index, whose entries PostgreSQL bounds.
const (
	streamBytesMax = 200
	streamBytesCut = 100
)

// streamName is the name of a message's stream as the table has it.
func streamName(m *outbox.Message) string {
	name := m.Stream()
	if len(name) <= streamBytesMax {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return strings.ToValidUTF8(name[:streamBytesCut], "") + "#" + hex.EncodeToString(sum[:])
}
