//go:build race

package replication

const raceEnabled = true

// seedShare is the divisor of seeds under the race detector, which makes the
// simulated disk ten times slower.
const seedShare = 10

// groupPace stretches the times of groups.
const groupPace = 3
