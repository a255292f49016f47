//go:build !linux

package disk

// Boot names the time since the machine was started: it changes when the machine
// loses power or its kernel ends, and not when a process does. Zero where that
// is not known.
func Boot() (id [16]byte) { return id }
