//go:build !race

package replication

const raceEnabled = false

// seedShare is the divisor of seeds: all of them.
const seedShare = 1

// groupPace stretches the times of groups.
const groupPace = 1
