//go:build !linux

package remoting

import "syscall"

// limitUnacknowledged is Linux's.
func limitUnacknowledged(syscall.RawConn) {}
