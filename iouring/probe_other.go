//go:build !linux

package iouring

import (
	"errors"
	"runtime"
)

// Probe always fails here: io_uring is a part of Linux. The error wraps
// ErrUnavailable.
func Probe(Owner) (Report, error) {
	return Report{}, &unavailable{
		reason: "it is a part of Linux, and this is " + runtime.GOOS,
		cause:  errors.ErrUnsupported,
	}
}
