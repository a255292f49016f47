//go:build !race

package clustertest

// seedShare is the divisor of seeds: all of them.
const seedShare = 1
