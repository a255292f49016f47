//go:build !race

package engine

// stepShare is the distance between two steps at which a life ends: each one in
// turn takes longer than a test should. Another -crash.seed begins elsewhere.
const stepShare = 13
