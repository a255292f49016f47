//go:build race

package broker

// raceDetector says that sync.Pool drops elements at random, so that
// allocations can't be counted.
const raceDetector = true
