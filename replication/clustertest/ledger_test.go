package clustertest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
)

// ledger knows what was asked for, what was answered, and every frame that any
// node has ever applied. The first contradiction stays.
type ledger struct {
	mu       sync.Mutex
	broken   error
	attempts []attempt                      // by message number
	frames   []applied                      // by index, from 1
	next     map[event.Queue]event.Offset   // of messages
	offsets  map[event.Queue][]int          // message numbers by offset
	clients  map[int]map[event.Queue]placed // newest place of each client's messages
}

// attempt is one message that a client has proposed once.
type attempt struct {
	client int
	queue  event.Queue
	answer answer
	told   placed // where the answer says that it is
	there  placed // where it is in the log
	stored bool
}

// placed is where a message is.
type placed struct {
	offset    event.Offset
	position  event.Position
	timestamp int64
}

// answer is what a client knows of a message.
type answer uint8

const (
	open      answer = iota // nothing yet
	refused                 // nothing of it is stored
	doubtful                // nobody knows
	weak                    // stored on one node, and nothing more was promised
	confirmed               // committed
)

// applied is a frame as the first node that applied it has it.
type applied struct {
	crc  uint32 // the header's, which covers all that replicas share, and the chain
	end  event.Position
	node string
}

// messageTopic has the messages of clients; side events have other topics.
const messageTopic event.TopicID = 1000

func newLedger() *ledger {
	return &ledger{
		next: map[event.Queue]event.Offset{}, offsets: map[event.Queue][]int{}, clients: map[int]map[event.Queue]placed{},
		frames: make([]applied, 1),
	}
}

// fail notes a contradiction.
func (l *ledger) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failLocked(err)
}

func (l *ledger) failLocked(err error) {
	if l.broken == nil {
		l.broken = err
	}
}

func (l *ledger) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broken
}

// ask notes that a client is about to propose count messages and returns the
// number of the first.
func (l *ledger) ask(client int, q event.Queue, count int) (first int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first = len(l.attempts)
	for range count {
		l.attempts = append(l.attempts, attempt{client: client, queue: q})
	}
	return first
}

// payload is the body of a message: its number, and some more bytes.
func payload(number, bytes int) event.Payload {
	b := make([]byte, max(bytes, 8))
	binary.LittleEndian.PutUint64(b, uint64(number))
	return event.Bytes(b)
}

// refuse notes that Propose has refused messages.
func (l *ledger) refuse(first, count int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := first; i < first+count; i++ {
		l.answerLocked(i, refused, placed{})
	}
}

// complete takes in the outcome of a proposal.
func (l *ledger) complete(first, count int, p *engine.Proposal) {
	l.mu.Lock()
	defer l.mu.Unlock()
	how := doubtful
	switch {
	case p.Outcome == engine.OutcomeCommitted && p.Wait == engine.WaitCommitted:
		how = confirmed
	case p.Outcome != engine.OutcomeUnknown:
		how = weak
	}
	for i := range count {
		l.answerLocked(first+i, how, placed{p.Offset + event.Offset(i), p.PositionOf(i), p.Timestamp})
	}
}

func (l *ledger) answerLocked(number int, how answer, told placed) {
	a := &l.attempts[number]
	if a.answer != open {
		l.failLocked(fmt.Errorf("message %d has two answers, %d and %d", number, a.answer, how))
	}
	a.answer, a.told = how, told
	l.compareLocked(number)
}

// compareLocked holds what was answered against what is there.
func (l *ledger) compareLocked(number int) {
	a := &l.attempts[number]
	switch {
	case !a.stored:
	case a.answer == refused:
		l.failLocked(fmt.Errorf("message %d was refused and is in the log, at %+v", number, a.there))
	case a.answer >= weak && a.told != a.there:
		l.failLocked(fmt.Errorf("message %d is at %+v, it was answered to be at %+v", number, a.there, a.told))
	}
}

// seen is the last frame that was taken in.
func (l *ledger) seen() event.Index {
	l.mu.Lock()
	defer l.mu.Unlock()
	return event.Index(len(l.frames) - 1)
}

// apply takes in that a node has applied a frame.
func (l *ledger) apply(node string, f *commitlog.Frame) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch got := (applied{crc: f.CRC, end: f.End(), node: node}); {
	case int(f.Index) < len(l.frames):
		want := l.frames[f.Index]
		if want.crc != got.crc || want.end != got.end {
			l.failLocked(fmt.Errorf("frame %d of term %d was applied by %s as %+v, by %s as %+v", f.Index, f.Term, want.node, want, node, got))
		}
		return nil
	case int(f.Index) > len(l.frames):
		return fmt.Errorf("frame %d of %s: frames from %d on were never seen", f.Index, node, len(l.frames))
	default:
		l.frames = append(l.frames, got)
	}
	if f.Kind != commitlog.FrameEvents {
		return nil
	}
	at := f.Position
	for data := f.Data; len(data) > 0; {
		e, rest, err := event.Split(data)
		if err != nil {
			return err
		}
		if e.Kind() == event.KindMessage && e.Topic() == messageTopic {
			l.storeLocked(e, placed{position: at, timestamp: f.Timestamp})
		}
		at += event.Position(len(e))
		data = rest
	}
	return nil
}

// storeLocked takes in a message of the log.
func (l *ledger) storeLocked(e event.Event, there placed) {
	q := e.Queue()
	there.offset = l.next[q]
	l.next[q]++
	number := messageNumber(e)
	l.offsets[q] = append(l.offsets[q], number)
	a := &l.attempts[number]
	if a.stored {
		l.failLocked(fmt.Errorf("message %d is in the log twice, at %+v and at %+v", number, a.there, there))
	}
	a.stored, a.there = true, there
	l.compareLocked(number)
	newest := l.clients[a.client]
	if newest == nil {
		newest = map[event.Queue]placed{}
		l.clients[a.client] = newest
	}
	if before := newest[q]; before.offset > 0 && number < l.offsets[q][before.offset-1] {
		l.failLocked(fmt.Errorf("client %d proposed message %d before %d, in the log it comes after it", a.client, number, l.offsets[q][before.offset-1]))
	}
	newest[q] = placed{offset: there.offset + 1}
}

func messageNumber(e event.Event) int { return int(binary.LittleEndian.Uint64(e.Payload())) }

// missing is a confirmed message that no node has applied.
func (l *ledger) missing() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for number := range l.attempts {
		if a := &l.attempts[number]; a.answer == confirmed && !a.stored {
			return fmt.Errorf("message %d was confirmed at %+v and is lost", number, a.told)
		}
	}
	return nil
}

// end is the last frame that any node has applied.
func (l *ledger) end() event.Index {
	l.mu.Lock()
	defer l.mu.Unlock()
	return event.Index(len(l.frames) - 1)
}

// read compares what an engine serves with the log: every queue has each of its
// messages, at its offset, once.
func (l *ledger) read(e *engine.Engine) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for q, numbers := range l.offsets {
		first, next := e.Bounds(q)
		if int(next) != len(numbers) {
			return fmt.Errorf("queue %d ends at offset %d, there are %d messages", q.ID, next, len(numbers))
		}
		for at := first; at < next; {
			to, err := e.ReadQueue(q, at, engine.ReadLimits{Count: 100, Bytes: 1 << 20, Scan: 100}, nil, func(m engine.Message) error {
				number := numbers[at]
				if got := messageNumber(m.Event); m.Offset != at || got != number || m.Position != l.attempts[number].there.position {
					return fmt.Errorf("queue %d has message %d at offset %d, position %d; the log has %d at offset %d", q.ID, got, m.Offset, m.Position, number, at)
				}
				at++
				return nil
			})
			if err != nil {
				return err
			}
			if to != at {
				return errors.New("a read went past messages that it didn't show")
			}
		}
	}
	return nil
}

var errConfirmed = errors.New("a leader that is cut off from the others has confirmed a message")

// asked is how many messages clients have proposed.
func (l *ledger) asked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.attempts)
}

// anyStored reports whether one of count messages is in the log.
func (l *ledger) anyStored(first, count int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := first; i < first+count; i++ {
		if l.attempts[i].stored {
			return true
		}
	}
	return false
}
