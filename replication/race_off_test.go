//go:build !race

package replication

const raceEnabled = false

// seedShare is the divisor of seeds: all of them.
const seedShare = 1
