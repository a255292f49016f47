// Package process runs the servers of a measurement or of a fault run: each is
// a process group of its own, whose output goes to a file, and which ends when
// its owner says so.
package process
