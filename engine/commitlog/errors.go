package commitlog

import "errors"

// Errors that callers tell apart with errors.Is.
var (
	// ErrCorrupt marks bytes that this log never wrote, or wrote differently.
	ErrCorrupt = errors.New("corrupt log")
	// ErrNewerFormat: the bytes are of a later format than this program reads.
	ErrNewerFormat = errors.New("newer log format")
	// ErrNotFound: the frame or event isn't in the log (trimmed, not yet
	// appended, or no event begins there).
	ErrNotFound = errors.New("not in the log")
	// ErrClosed: the log was closed.
	ErrClosed = errors.New("log is closed")
	// ErrFailed: a write or sync failed earlier. The process must stop.
	ErrFailed = errors.New("log failed")
	// ErrTooLarge: the batch is longer than a frame may be.
	ErrTooLarge = errors.New("batch too large")
	// ErrOtherNode: the log belongs to another node.
	ErrOtherNode = errors.New("log of another node")
	// ErrDiskFull: there is no room for another segment. Reads go on.
	ErrDiskFull = errors.New("disk full")
)
