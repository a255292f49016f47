//go:build !race

package table

// scale divides the numbers of messages.
const scale = 1
