//go:build linux

package table

// The driver is half a million lines of C made Go for each system. Checking
// it for the others takes minutes, and the tables are the same there.
import _ "modernc.org/sqlite"
