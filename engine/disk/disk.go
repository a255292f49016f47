package disk

import (
	"errors"
	"io"
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrNotFound: the file or directory does not exist.
	ErrNotFound = errors.New("file not found")
	// ErrExists: the file exists already.
	ErrExists = errors.New("file exists")
	// ErrNoSpace: the device or quota is full; nothing is wrong with the file.
	ErrNoSpace = errors.New("no space left on device")
	// ErrLocked: another process holds the lock.
	ErrLocked = errors.New("locked by another process")
	// ErrReadOnly: the file system doesn't accept writes.
	ErrReadOnly = errors.New("file system is read-only")
	// ErrDirectRefused: the file system took a file for direct I/O and refuses
	// to write it that way.
	ErrDirectRefused = errors.New("file system refuses direct I/O")
)

// Mode says how a file is opened.
type Mode uint8

const (
	// Read opens an existing file for reading, through the page cache.
	Read Mode = iota
	// ReadWrite opens an existing file for reading and writing.
	ReadWrite
	// Create creates a file that must not exist, for reading and writing.
	Create
	// DirectReadWrite opens an existing file past the page cache where the
	// file system allows it. Offsets, lengths and addresses are multiples of
	// BlockBytes.
	DirectReadWrite
	// DirectCreate creates a file like Create and opens it like DirectReadWrite.
	DirectCreate
)

// Disk is one directory tree. Names are relative, with '/' between parts.
// All methods are safe for concurrent use.
type Disk interface {
	// Open opens name. ErrNotFound and ErrExists tell what was wrong with it.
	Open(name string, mode Mode) (File, error)
	// List returns the names in directory dir ("." for the root), sorted,
	// without directories. ErrNotFound if dir does not exist.
	List(dir string) ([]string, error)
	// MakeDir creates directory dir and its parents. It may exist.
	MakeDir(dir string) error
	// Rename replaces to by from.
	Rename(from, to string) error
	// Remove removes a file.
	Remove(name string) error
	// SyncDir makes creations, renames and removals in dir durable.
	SyncDir(dir string) error
	// FreeBytes is the space left for this process.
	FreeBytes() (int64, error)
	// Lock takes an exclusive lock that dies with the process. ErrLocked when
	// another holder lives.
	Lock(name string) (io.Closer, error)
	// BlockBytes is the unit of direct I/O: a power of two, 512 at least.
	BlockBytes() int
	// OpenQueue opens a queue for at most depth operations in flight. The
	// calling goroutine owns it. arena is the memory that all writes come from;
	// the queue may register it.
	OpenQueue(depth int, arena []byte) (Queue, error)
	// Path names the place for people: error texts and log lines.
	Path() string
	// Describe says in a few words which I/O path is in use, and why.
	Describe() string
}

// File is an open file. ReadAt and WriteAt are safe for concurrent use on
// ranges that don't overlap.
type File interface {
	io.ReaderAt
	io.WriterAt
	// Sync makes data and metadata durable.
	Sync() error
	// SyncData makes data durable, and only the metadata needed to read it.
	SyncData() error
	// Allocate reserves space for bytes [0, size) and sets the size.
	// ErrNoSpace when there isn't enough.
	Allocate(size int64) error
	// Truncate sets the size.
	Truncate(size int64) error
	// Size in bytes.
	Size() (int64, error)
	Close() error
}

// Queue carries the log's writes and syncs. The goroutine that opened it owns
// it and calls every method but Wake.
type Queue interface {
	// Write queues a write of all of buf at byte offset at. buf belongs to the
	// queue until the completion; it lies in the arena given to OpenQueue.
	Write(f File, buf []byte, at int64, tag uint64)
	// WriteDurable is Write whose completion also means durable (RWF_DSYNC).
	WriteDurable(f File, buf []byte, at int64, tag uint64)
	// SyncData queues a sync. Its completion means that every write to f that
	// had completed before this call is durable.
	SyncData(f File, tag uint64)
	// Wait submits what is queued, blocks until an operation completed or Wake
	// was called, and fills done. 0 means woken. A Wake that comes while nobody
	// waits makes the next Wait return.
	Wait(done []Completion) (int, error)
	// Overlaps reports whether operations run side by side. Where they don't,
	// each one queued delays those behind it.
	Overlaps() bool
	// Wake makes Wait return. Safe from any goroutine.
	Wake()
	// Close waits for everything in flight and releases the queue.
	Close() error
}

// Completion reports the end of one queued operation. A short write never
// shows: the queue writes the rest or reports an error.
type Completion struct {
	Tag uint64
	Err error
}
