//go:build race

package agent

// raceEnabled: sync.Pool drops things at random under the race detector, so
// allocations can't be counted.
const raceEnabled = true
