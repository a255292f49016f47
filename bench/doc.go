// Package bench puts the measuring tools under one command: load generators
// (package load), the floor that a broker in Go cannot go below (package
// floor), and Apache RocketMQ beside both in one run (package baseline).
package bench
