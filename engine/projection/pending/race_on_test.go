//go:build race

package pending_test

const raceEnabled = true
