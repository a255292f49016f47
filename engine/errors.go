package engine

import (
	"errors"

	"github.com/apogeemq/apogee/engine/commitlog"
)

// Errors that callers tell apart with errors.Is. An event that isn't there,
// corrupt bytes, a full disk and a closed log keep the log's own values.
var (
	// ErrBusy: too many bytes wait to be written; nothing was stored.
	ErrBusy = errors.New("too many bytes wait to be written")
	// ErrNotLeader: this node may not propose; nothing was stored.
	ErrNotLeader = errors.New("not the leader")

	ErrNotFound = commitlog.ErrNotFound
	ErrCorrupt  = commitlog.ErrCorrupt
	ErrClosed   = commitlog.ErrClosed
	ErrDiskFull = commitlog.ErrDiskFull
	ErrTooLarge = commitlog.ErrTooLarge
)
