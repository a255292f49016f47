//go:build race

package table

// scale divides the numbers of messages: SQLite in Go is many times slower
// under the race detector.
const scale = 5
