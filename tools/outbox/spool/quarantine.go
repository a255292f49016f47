package spool

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
)

const (
	quarantineHeadBytes = 8
	resolutionBytes     = 16
	// ReasonBytesMax bounds the reason of a quarantine; longer ones are cut.
	ReasonBytesMax = 1024
)

// quarantine knows which of its entries are still there.
type quarantine struct {
	changing sync.Mutex // held while something comes or leaves, and while the marks move

	mu      sync.Mutex
	entries *Stream
	leaving *Stream                // notes what has left
	live    map[event.Offset]int64 // size by number
	highest event.Offset           // of those that have left
}

func (q *quarantine) size() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.live)
}

func (q *quarantine) has(number event.Offset) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	_, found := q.live[number]
	return found
}

// Quarantined is an entry in the quarantine. Its slices are valid until the
// visit returns.
type Quarantined struct {
	Number  event.Offset // names it
	Since   int64        // Unix milliseconds
	Reason  string
	Lane    uint32 // of its stream
	Entry   Item   // without a payload where it couldn't be read
	Damaged bool   // it couldn't be read
	whole   []byte // with its reason
}

func (s *Spool) recoverQuarantine() (err error) {
	q := &s.quarantine
	q.live, q.highest = make(map[event.Offset]int64), -1
	if q.entries, err = s.stream(quarantineName, 0); err != nil {
		return err
	}
	if q.leaving, err = s.stream(resolvedName, 0); err != nil {
		return err
	}
	all := engine.ReadLimits{Count: 1 << 30, Bytes: 1 << 40, Scan: 1 << 30}
	from := q.entries.First()
	_, err = s.engine.ReadQueue(q.entries.queue, from, all, func(tag int32) bool {
		q.live[from] = int64(tag)
		from++
		return false
	}, func(engine.Message) error { return nil })
	if err != nil {
		return err
	}
	_, err = q.leaving.Read(q.leaving.First(), all, func(i Item) error {
		if len(i.Payload) == resolutionBytes {
			number := event.Offset(binary.LittleEndian.Uint64(i.Payload[8:]))
			delete(q.live, number)
			q.highest = max(q.highest, number)
		}
		return nil
	})
	return err
}

// Quarantine takes the stream's first entry out of the way, with a reason. It
// waits until that is stored. Nobody else may call Done meanwhile.
func (s *Stream) Quarantine(reason string) error {
	from := s.First()
	var entry []byte
	_, err := s.spool.engine.ReadQueue(s.queue, from, engine.ReadLimits{Count: 1, Bytes: 1, Scan: 1}, nil, func(m engine.Message) error {
		entry = slices.Clone(m.Event.Payload())
		_, err := itemOf(m)
		return err
	})
	if err != nil && !Damaged(err) {
		return err
	}
	if err != nil {
		entry = nil
		s.spool.damaged.Add(1)
		s.spool.options.Log.Error("spool: an entry is damaged and goes to the quarantine; those behind it go on", "stream", s.name, "lane", s.Lane(), "entry", from, "cause", err)
		reason = fmt.Sprintf("damaged: %v", err)
	}
	s.spool.recorder.committing.Lock()
	defer s.spool.recorder.committing.Unlock()
	commit := []event.OffsetCommit{{Group: deliveredGroup, Queue: s.queue, Offset: from + 1}}
	if err := s.spool.confine(quarantined(reason, s.Lane(), entry), commitDraft(commit)); err != nil {
		return fmt.Errorf("quarantine entry %d of stream %s: %w", from, s.name, err)
	}
	s.mu.Lock()
	s.done = max(s.done, from+1)
	s.mu.Unlock()
	s.settled(from + 1)
	return nil
}

// quarantined are the bytes of an entry in the quarantine.
func quarantined(reason string, lane uint32, entry []byte) []byte {
	reason = reason[:min(len(reason), ReasonBytesMax)]
	b := make([]byte, quarantineHeadBytes, quarantineHeadBytes+len(reason)+len(entry))
	b[0] = entryVersion
	binary.LittleEndian.PutUint16(b[2:], uint16(len(reason)))
	binary.LittleEndian.PutUint32(b[4:], lane)
	return append(append(b, reason...), entry...)
}

// confine stores bytes in the quarantine, together with other events.
func (s *Spool) confine(payload []byte, others ...event.Draft) error {
	q := &s.quarantine
	q.changing.Lock()
	defer q.changing.Unlock()
	e := &Entry{Stream: q.entries, Payload: event.Bytes(payload)}
	if err := s.putWait(e, others...); err != nil {
		return err
	}
	q.mu.Lock()
	q.live[e.Offset] = int64(e.bytes)
	q.mu.Unlock()
	return nil
}

// VisitQuarantine visits what is there, oldest first.
func (s *Spool) VisitQuarantine(visit func(Quarantined) error) error {
	q := &s.quarantine
	q.mu.Lock()
	numbers := slices.Sorted(maps.Keys(q.live))
	q.mu.Unlock()
	for _, n := range numbers {
		if err := s.readQuarantine(n, visit); err != nil {
			return err
		}
	}
	return nil
}

func (s *Spool) readQuarantine(number event.Offset, visit func(Quarantined) error) error {
	_, err := s.quarantine.entries.Read(number, engine.ReadLimits{Count: 1, Bytes: 1, Scan: 1}, func(i Item) error {
		b := i.Payload
		if len(b) < quarantineHeadBytes || quarantineHeadBytes+int(binary.LittleEndian.Uint16(b[2:])) > len(b) {
			return fmt.Errorf("read quarantine: %w: entry %d", ErrMalformed, number)
		}
		at := quarantineHeadBytes + int(binary.LittleEndian.Uint16(b[2:]))
		c := Quarantined{Number: number, Since: i.Timestamp, Reason: string(b[quarantineHeadBytes:at]), Lane: binary.LittleEndian.Uint32(b[4:]), whole: b}
		var err error
		c.Entry, err = decode(b[at:])
		c.Damaged = err != nil
		return visit(c)
	})
	return err
}

// leave notes that an entry is no longer in the quarantine.
func (s *Spool) leave(number event.Offset) error {
	q := &s.quarantine
	q.changing.Lock()
	defer q.changing.Unlock()
	payload := make([]byte, resolutionBytes)
	payload[0] = entryVersion
	binary.LittleEndian.PutUint64(payload[8:], uint64(number))
	if err := s.putWait(&Entry{Stream: s.quarantine.leaving, Payload: event.Bytes(payload)}); err != nil {
		return err
	}
	q.mu.Lock()
	delete(q.live, number)
	q.highest = max(q.highest, number)
	q.mu.Unlock()
	return nil
}

// putWait puts an entry and waits until it is stored.
func (s *Spool) putWait(e *Entry, others ...event.Draft) error {
	done := make(chan struct{})
	e.Stored = func(*Entry) { close(done) }
	if err := s.putWith(e, others); err != nil {
		return err
	}
	<-done
	e.Stream.Answered(e.Offset)
	if e.Outcome == engine.OutcomeUnknown {
		return errUnknown
	}
	return nil
}

// Drop gives up an entry of the quarantine.
func (s *Spool) Drop(number event.Offset) error {
	if !s.quarantine.has(number) {
		return fmt.Errorf("drop entry %d of the quarantine: %w", number, engine.ErrNotFound)
	}
	return s.leave(number)
}

// Retry puts an entry of the quarantine at the end of its stream again. Its
// place in the order is lost.
func (s *Spool) Retry(number event.Offset) error {
	if !s.quarantine.has(number) {
		return fmt.Errorf("retry entry %d of the quarantine: %w", number, engine.ErrNotFound)
	}
	var e *Entry
	err := s.readQuarantine(number, func(c Quarantined) error {
		if c.Damaged {
			return fmt.Errorf("retry entry %d of the quarantine: %w: its bytes are lost; it can only be dropped", number, ErrMalformed)
		}
		st, err := s.stream(c.Entry.Name, c.Lane)
		e = &Entry{Stream: st, Payload: event.Bytes(slices.Clone(c.Entry.Payload)), Doubt: c.Entry.Doubt}
		return err
	})
	if err == nil {
		err = s.putWait(e)
	}
	if err != nil {
		return err
	}
	return s.leave(number)
}

// settleQuarantine moves the marks of the quarantine's streams on, and stores
// what stays there again when it keeps half of the space from being freed.
func (s *Spool) settleQuarantine() {
	live, bytes := s.quarantine.advance()
	if q := &s.quarantine; live == 0 || s.used() < s.options.BytesMax/2 || bytes > s.options.BytesMax/8 || s.blocker != q.entries && s.blocker != q.leaving {
		return
	}
	if err := s.VisitQuarantine(s.moveBack); err != nil {
		s.options.Log.Warn("spool: the quarantine isn't stored again at the end of the log, where it would keep no space", "cause", err)
	}
}

// advance moves the marks behind what has left, and tells how much is there.
func (q *quarantine) advance() (live int, bytes int64) {
	q.changing.Lock()
	defer q.changing.Unlock()
	first := q.entries.end()
	q.mu.Lock()
	for n, size := range q.live {
		first = min(first, n)
		bytes += size
	}
	highest := q.highest
	live = len(q.live)
	q.mu.Unlock()
	q.entries.Done(first)
	if highest < first {
		q.leaving.Done(q.leaving.end())
	}
	return live, bytes
}

// end is the number of the next entry.
func (s *Stream) end() event.Offset {
	s.putting.Lock()
	defer s.putting.Unlock()
	return s.next
}

// moveBack stores an entry of the quarantine again, under a new number.
func (s *Spool) moveBack(c Quarantined) error {
	if err := s.confine(slices.Clone(c.whole)); err != nil {
		return err
	}
	return s.leave(c.Number)
}
