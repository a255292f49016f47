package table

import (
	"fmt"
	"strconv"
	"strings"
)

// Dialect is what differs between databases.
type Dialect uint8

// The databases that are known.
const (
	PostgreSQL Dialect = iota + 1
	SQLite
)

// String is the database's name.
func (d Dialect) String() string {
	switch d {
	case PostgreSQL:
		return "PostgreSQL"
	case SQLite:
		return "SQLite"
	}
	return "unknown database"
}

// schema is the statements that make the tables. Names of streams are compared by their bytes, which is SQLite's own way.
func (d Dialect) schema() string {
	id, text, bytes := "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", `TEXT COLLATE "C"`, "BYTEA"
	if d == SQLite {
		// Without AUTOINCREMENT a deleted row's id may be given again.
		id, text, bytes = "INTEGER PRIMARY KEY AUTOINCREMENT", "TEXT", "BLOB"
	}
	return `CREATE TABLE IF NOT EXISTS {outbox} (
	id ` + id + `,
	stream ` + text + ` NOT NULL,
	message_id TEXT NOT NULL,
	topic TEXT NOT NULL,
	attributes TEXT NOT NULL,
	body ` + bytes + ` NOT NULL,
	born BIGINT NOT NULL,
	enqueued BIGINT NOT NULL,
	quarantined BIGINT,
	reason TEXT
);
CREATE INDEX IF NOT EXISTS {outbox}_waiting ON {outbox} (stream, id) WHERE quarantined IS NULL;
CREATE TABLE IF NOT EXISTS {outbox}_streams (
	stream ` + text + ` PRIMARY KEY,
	owner TEXT NOT NULL,
	until BIGINT NOT NULL,
	failures INTEGER NOT NULL DEFAULT 0
);
`
}

// now is the database's clock in milliseconds since 1970. In SQLite it is the
// machine's, to the millisecond as far as a double of days goes.
func (d Dialect) now() string {
	if d == SQLite {
		return "CAST((julianday('now') - 2440587.5) * 86400000.0 AS INTEGER)"
	}
	return "CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)"
}

// statement puts the name of the table, the clock and the database's
// placeholders into a statement with {outbox}, {now} and question marks.
func (d Dialect) statement(text, name string) string {
	text = strings.NewReplacer("{outbox}", name, "{now}", d.now()).Replace(text)
	if d == SQLite {
		return text
	}
	var b strings.Builder
	for i, part := range strings.Split(text, "?") {
		if i > 0 {
			b.WriteString("$" + strconv.Itoa(i))
		}
		b.WriteString(part)
	}
	return b.String()
}

// checkName refuses names of tables that would have to be quoted.
func checkName(name string) error {
	legal := len(name) > 0 && len(name) <= nameBytesMax && (name[0] < '0' || name[0] > '9')
	for _, c := range []byte(name) {
		legal = legal && (c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_')
	}
	if !legal {
		return fmt.Errorf("name of the outbox's table %.80q: it must have 1 to %d of the characters a-z0-9_ and begin with no digit",
			name, nameBytesMax)
	}
	return nil
}

// nameBytesMax leaves room for endings within PostgreSQL's 63 bytes.
const nameBytesMax = 50
