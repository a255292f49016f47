//go:build race

package clustertest

// seedShare is the divisor of seeds under the race detector, which makes the
// simulated disk ten times slower.
const seedShare = 3
