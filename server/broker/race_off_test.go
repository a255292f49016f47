//go:build !race

package broker

// raceDetector says whether allocations can't be counted.
const raceDetector = false
