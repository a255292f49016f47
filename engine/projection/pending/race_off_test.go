//go:build !race

package pending_test

const raceEnabled = false
