package outbox

import (
	"context"
	"errors"
)

// Sender hands messages to whoever delivers them.
type Sender interface {
	// Send makes one attempt with the message and returns when its outcome is
	// known or ctx ends. It must keep the unique id, and must not change or keep
	// the message. Its error wraps ErrRefused, ErrNotAccepted or ErrInDoubt; any
	// other is taken for ErrInDoubt. It is safe for concurrent use.
	Send(ctx context.Context, m *Message) (Receipt, error)
}

// Classes of a sender's errors.
var (
	// ErrRefused says that the message will never be accepted as it is: it is
	// too large, or its topic is illegal.
	ErrRefused = errors.New("refused for good")
	// ErrNotAccepted says that nothing was stored, and that a later attempt may
	// succeed.
	ErrNotAccepted = errors.New("not accepted")
	// ErrInDoubt says that the message may be stored: the answer did not arrive.
	ErrInDoubt = errors.New("outcome unknown")
)

// Class is the class of a sender's error: nil, ErrRefused, ErrNotAccepted or
// ErrInDoubt. An error that wraps several is in doubt if one of them is.
func Class(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrInDoubt):
		return ErrInDoubt
	case errors.Is(err, ErrRefused):
		return ErrRefused
	case errors.Is(err, ErrNotAccepted):
		return ErrNotAccepted
	}
	return ErrInDoubt
}

// Status is what a broker promised about a message that it stored, RocketMQ's
// SendStatus.
type Status uint8

// With the weaker ones the message is stored and will be delivered; it is the
// safety that was configured which was not reached in time.
const (
	StatusOK                Status = iota
	StatusFlushDiskTimeout         // not synced within the broker's time
	StatusFlushSlaveTimeout        // not on enough replicas within the broker's time
	StatusSlaveNotAvailable        // no replica was in reach
)

// String is RocketMQ's name.
func (s Status) String() string {
	switch s {
	case StatusOK:
		return "SEND_OK"
	case StatusFlushDiskTimeout:
		return "FLUSH_DISK_TIMEOUT"
	case StatusFlushSlaveTimeout:
		return "FLUSH_SLAVE_TIMEOUT"
	case StatusSlaveNotAvailable:
		return "SLAVE_NOT_AVAILABLE"
	}
	return "UNKNOWN"
}

// Receipt says where a message is stored.
type Receipt struct {
	Status    Status
	Broker    string // name of the broker
	Queue     int
	Offset    int64  // in the queue; -1 where it isn't known
	MessageID string // the broker's id: address and position
}
