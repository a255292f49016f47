//go:build race

package remoting

// raceEnabled: sync.Pool drops things at random under the race detector, so
// allocations can't be counted.
const raceEnabled = true
