package outbox

import (
	"context"
	"errors"
	"time"
)

// ErrFull says that a spool holds as much as it may. Nothing was kept: the
// caller still has the message.
var ErrFull = errors.New("the spool is full")

// Spool keeps messages on this machine until they are delivered, in streams
// whose order it keeps. It is safe for concurrent use.
type Spool interface {
	// Append returns when the message is durable. inDoubt says that an attempt
	// before may have stored it. The spool keeps no part of the message.
	// ErrFull: there is no room.
	Append(m *Message, inDoubt bool) error

	// Holds tells whether there are entries that the message must not overtake:
	// those of its stream that were neither delivered nor quarantined.
	Holds(m *Message) bool

	// Take waits for an entry that is due and whose predecessors in its stream
	// were delivered or quarantined, and takes it. Only those need not be that
	// were appended side by side with it, by callers who didn't wait for each
	// other. An error is the context's, or says that the spool can't be read.
	Take(ctx context.Context) (Entry, error)

	// Each entry that was taken goes back in one of three ways.
	//
	// Done forgets an entry that was delivered. After a crash it may be there
	// again: the removal needn't be durable.
	Done(e Entry) error
	// Quarantine sets an entry aside for people to look at. It is durable.
	Quarantine(e Entry, reason string) error
	// Return puts an entry back, to be taken again from a time on. inDoubt says
	// that the attempt may have stored it.
	Return(e Entry, due time.Time, inDoubt bool)

	// Stats tells what the spool holds now.
	Stats() SpoolStats

	// Close releases the spool's files. What it holds is there when it is
	// opened again.
	Close() error
}

// Entry is a message in a spool.
type Entry struct {
	Number   uint64 // names the entry in its spool
	Message  *Message
	InDoubt  bool      // an attempt may have stored it: delivering it may make a duplicate
	Spooled  time.Time // when it came into the spool
	Attempts int       // made from the spool since it was opened
}

// SpoolStats is what a spool holds.
type SpoolStats struct {
	Entries     int64     // that wait to be delivered
	Bytes       int64     // of the disk
	Oldest      time.Time // when the oldest of them was spooled; zero without any
	Streams     int       // that have entries
	Quarantined int64
}
