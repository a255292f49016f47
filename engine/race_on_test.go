//go:build race

package engine

// stepShare is larger under the race detector, which makes the simulated disk
// ten times slower.
const stepShare = 97
