//go:build race

package rocketmq

// raceDetector tells whether the race detector looks on.
const raceDetector = true
