package check

import (
	"fmt"
	"strings"
	"time"
)

// Kind says what an event is about.
type Kind uint8

// The kinds, with the fields of Event that each has.
const (
	// WriterBegan declares a writer before its first send: Writer, Tries,
	// Line, Text (its source).
	WriterBegan Kind = iota + 1
	// SendBegan is recorded before a request goes out: Message, Queue (where it
	// was asked for, NoQueue if anywhere).
	SendBegan
	// SendEnded is recorded after its answer or its failure: Message, Status,
	// Code, and Queue, Offset, Position where the status has a place.
	SendEnded
	// Received is a message that reached a consumer, in any order: Reader,
	// Queue, Offset, Message.
	Received
	// Pulled is a message that reached a consumer which asks for one offset
	// after the other: Reader, Queue, Offset, Message.
	Pulled
	// Stored is a message that was read back after the load: Reader, Queue,
	// Offset, Position, StoredMillis, Message.
	Stored
	// QueueRead ends the reading of a queue: Reader, Queue, First, Offset (the
	// end, one past the last).
	QueueRead
	// CommitBegan is recorded before a consumer offset is stored: Reader (the
	// consumer group), Queue, Offset.
	CommitBegan
	// CommitConfirmed is the answer to it: Reader, Queue, Offset.
	CommitConfirmed
	// OffsetRead is the answer to the question for a group's offset: Reader,
	// Queue, Offset. One goroutine commits and asks for a group and queue.
	OffsetRead
	// FaultBegan is recorded before a fault: Fault, Text.
	FaultBegan
	// FaultEnded is recorded after it: Fault.
	FaultEnded
	// LoadEnded is recorded when no more sends begin.
	LoadEnded
	// Drained is recorded when consumers have had their time.
	Drained
	// Broken is a promise that the recorder itself saw broken: Text.
	Broken

	kindsEnd
)

// Status is how a send ended.
type Status uint8

// The statuses. Those from OK to SlaveTimeout have a place.
const (
	// OK is SEND_OK: the message is safe.
	OK Status = iota + 1
	// FlushTimeout, SlaveUnavailable, SlaveTimeout: the message is stored, but
	// not as safe as was asked for.
	FlushTimeout
	SlaveUnavailable
	SlaveTimeout
	// Refused promises that nothing was stored.
	Refused
	// Unknown is everything else: the message may be there or not.
	Unknown

	statusesEnd
)

var statusNames = [...]string{OK: "SEND_OK", FlushTimeout: "FLUSH_DISK_TIMEOUT", SlaveUnavailable: "SLAVE_NOT_AVAILABLE",
	SlaveTimeout: "FLUSH_SLAVE_TIMEOUT", Refused: "refused", Unknown: "unknown"}

// String is RocketMQ's name of the status, where it has one.
func (s Status) String() string {
	if s == 0 || s >= statusesEnd {
		return fmt.Sprintf("status %d", uint8(s))
	}
	return statusNames[s]
}

// Placed reports whether a send with this status tells where the message is.
func (s Status) Placed() bool { return s >= OK && s <= SlaveTimeout }

// Message names a message: the numbers of a writer begin at 0 and are dense.
type Message struct {
	Writer uint32
	Number uint64
}

// String names the message for people.
func (m Message) String() string { return fmt.Sprintf("message %d of writer %d", m.Number, m.Writer) }

// Queue names a queue of the run's topic: those of the broker with number b
// begin at b × QueuesEach.
type Queue uint16

const (
	// QueuesEach is how many queues a broker may have.
	QueuesEach = 256
	// NoQueue stands for any queue.
	NoQueue = queuesMax
	// queuesMax bounds queues, so that a place fits into 8 bytes.
	queuesMax = 1<<12 - 1
)

// String is broker and queue id.
func (q Queue) String() string {
	if q == NoQueue {
		return "any queue"
	}
	return fmt.Sprintf("queue %d/%d", q/QueuesEach, q%QueuesEach)
}

// NoPosition stands for a position that is not known.
const NoPosition = -1

// Event is one event. Which fields have a meaning depends on the kind.
type Event struct {
	Kind Kind
	At   time.Duration // since the history began; the recorder sets it
	Message
	Queue        Queue
	Offset       int64
	First        int64
	Position     int64 // in the log, NoPosition when not known
	StoredMillis int64
	Status       Status
	Code         int32  // response code, for people
	Tries        uint32 // how often a message may have been sent, at most
	Line         bool   // one connection and no resends
	Reader       uint32 // consumer, group or replica
	Fault        uint32
	Text         string
}

// String is a line for people.
func (e Event) String() string {
	return fmt.Sprintf("%10.6fs  %s", e.At.Seconds(), strings.TrimSpace(e.describe()))
}

func (e Event) describe() string {
	place := fmt.Sprintf("%v offset %d", e.Queue, e.Offset)
	switch e.Kind {
	case WriterBegan:
		return fmt.Sprintf("writer %d begins: %s, at most %d tries", e.Writer, e.Text, e.Tries)
	case SendBegan:
		return fmt.Sprintf("%v is sent to %v", e.Message, e.Queue)
	case SendEnded:
		if !e.Status.Placed() {
			return fmt.Sprintf("%v: %v (code %d)", e.Message, e.Status, e.Code)
		}
		return fmt.Sprintf("%v: %v at %s, position %d", e.Message, e.Status, place, e.Position)
	case Received, Pulled:
		return fmt.Sprintf("consumer %d gets %v at %s", e.Reader, e.Message, place)
	case Stored:
		return fmt.Sprintf("replica %d has %v at %s, position %d, time %d", e.Reader, e.Message, place, e.Position, e.StoredMillis)
	case QueueRead:
		return fmt.Sprintf("replica %d has offsets %d to %d of %v", e.Reader, e.First, e.Offset-1, e.Queue)
	case CommitBegan:
		return fmt.Sprintf("group %d commits %s", e.Reader, place)
	case CommitConfirmed:
		return fmt.Sprintf("group %d: the commit of %s is confirmed", e.Reader, place)
	case OffsetRead:
		return fmt.Sprintf("group %d is at %s", e.Reader, place)
	case FaultBegan:
		return fmt.Sprintf("fault %d begins: %s", e.Fault, e.Text)
	case FaultEnded:
		return fmt.Sprintf("fault %d ends %s", e.Fault, e.Text)
	case LoadEnded:
		return "the load ends"
	case Drained:
		return "consumers have had their time"
	}
	return e.Text
}
