package main

import "errors"

// exitStatus is the status that an error ends the process with: its own, if it
// has one, else 1.
func exitStatus(err error) int {
	var own interface{ ExitStatus() int }
	if errors.As(err, &own) {
		return own.ExitStatus()
	}
	return 1
}
