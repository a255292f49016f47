package check

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"
)

// story is a history made by hand. Its events are a millisecond apart.
type story struct {
	t    *testing.T
	text bytes.Buffer
	*Recorder
	now time.Duration
}

func newStory(t *testing.T) *story {
	s := &story{t: t}
	s.Recorder = NewRecorder(&s.text, func() time.Duration {
		s.now += time.Millisecond
		return s.now
	})
	return s
}

func (s *story) writer(id, tries uint32, line bool) {
	s.Record(Event{Kind: WriterBegan, Message: Message{Writer: id}, Tries: tries, Line: line, Text: "test"})
}

func (s *story) begin(writer uint32, number uint64, q Queue) {
	s.Record(Event{Kind: SendBegan, Message: Message{writer, number}, Queue: q})
}

func (s *story) end(writer uint32, number uint64, status Status, q Queue, offset, position int64) {
	s.Record(Event{Kind: SendEnded, Message: Message{writer, number}, Status: status, Queue: q, Offset: offset, Position: position})
}

func (s *story) send(writer uint32, number uint64, q Queue, offset, position int64) {
	s.begin(writer, number, q)
	s.end(writer, number, OK, q, offset, position)
}

func (s *story) arrive(kind Kind, q Queue, offset int64, writer uint32, number uint64) {
	s.Record(Event{Kind: kind, Queue: q, Offset: offset, Message: Message{writer, number}})
}

func (s *story) stored(q Queue, offset, position int64, writer uint32, number uint64) {
	s.copied(0, q, offset, position, writer, number)
}

func (s *story) copied(replica uint32, q Queue, offset, position int64, writer uint32, number uint64) {
	s.Record(Event{Kind: Stored, Reader: replica, Queue: q, Offset: offset, Position: position, StoredMillis: position, Message: Message{writer, number}})
}

func (s *story) read(replica uint32, q Queue, end int64) {
	s.Record(Event{Kind: QueueRead, Reader: replica, Queue: q, Offset: end})
}

func (s *story) offset(kind Kind, group uint32, q Queue, offset int64) {
	s.Record(Event{Kind: kind, Reader: group, Queue: q, Offset: offset})
}

func (s *story) event(kind Kind) { s.Record(Event{Kind: kind, Text: "a fault"}) }

func (s *story) judge(r Rules) *Verdict {
	s.t.Helper()
	if err := s.Close(); err != nil {
		s.t.Fatal(err)
	}
	v, err := Judge(Open(s.open), r)
	if err != nil {
		s.t.Fatal(err)
	}
	return v
}

func (s *story) open() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(s.text.Bytes())), nil
}

// good is a run in which everything holds: a line, a writer that resends, a
// copy, weak and unknown answers, consumers and offsets.
func good(s *story) {
	s.writer(1, 1, true)
	s.writer(2, 3, false)
	s.send(1, 0, 0, 0, 10)
	s.begin(1, 1, 0)
	s.begin(2, 0, NoQueue)
	s.arrive(Received, 1, 0, 2, 0) // before the receipt, which tells of another copy
	s.arrive(Received, 0, 1, 2, 0)
	s.end(2, 0, OK, 0, 1, 30)
	s.end(1, 1, OK, 0, 2, 40)
	s.begin(1, 2, 0)
	s.end(1, 2, Unknown, 0, 0, NoPosition)
	s.begin(1, 3, 0)
	s.end(1, 3, Refused, 0, 0, NoPosition)
	s.begin(1, 4, 1)
	s.end(1, 4, FlushTimeout, 1, 1, 50) // stored, and lost with the fault
	s.arrive(Pulled, 0, 1, 2, 0)
	s.arrive(Pulled, 0, 2, 1, 1)
	s.offset(CommitBegan, 7, 0, 3)
	s.offset(CommitConfirmed, 7, 0, 3)
	s.offset(OffsetRead, 8, 1, 9)
	s.offset(OffsetRead, 9, 1, 9)
	s.event(FaultBegan)
	s.offset(OffsetRead, 8, 1, 12)
	s.event(FaultEnded)
	s.offset(OffsetRead, 7, 0, 3)
	s.offset(OffsetRead, 9, 1, 5)
	s.offset(OffsetRead, 8, 1, 5)
	s.event(LoadEnded)
	s.arrive(Received, 0, 0, 1, 0)
	s.arrive(Received, 0, 2, 1, 1)
	s.arrive(Received, 0, 2, 1, 1)
	s.event(Drained)
}

// goodCopies is what is read back after it.
func goodCopies(s *story) {
	for replica := range uint32(2) {
		s.copied(replica, 0, 0, 10, 1, 0)
		s.copied(replica, 1, 0, 20, 2, 0)
		s.copied(replica, 0, 1, 30, 2, 0)
		s.copied(replica, 0, 2, 40, 1, 1)
		s.read(replica, 0, 3)
		s.read(replica, 1, 1)
	}
}

func TestARunThatKeepsItsPromisesIsNotBlamed(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	good(s)
	goodCopies(s)
	v := s.judge(Rules{GapMax: time.Second})
	if err := v.Err(); err != nil {
		t.Fatal(err)
	}
	if v.Stored != 4 || v.Duplicates != 1 || v.Received != 5 || v.Redelivered != 2 || v.Faults != 1 || len(v.Sources) != 1 {
		t.Errorf("verdict: %+v", v)
	}
	if s := v.Sources[0]; s.Sent != 6 || s.Statuses[OK] != 3 || s.Statuses[Unknown] != 1 || s.Statuses[Refused] != 1 {
		t.Errorf("sends: %+v", s)
	}
}

// A request may wait somewhere after its connection was given up.
func TestASendThatWasGivenUpMayBeStoredLater(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.writer(1, 1, true)
	s.writer(2, 1, true)
	s.begin(1, 0, 0)
	s.end(1, 0, Unknown, 0, 0, NoPosition)
	s.send(2, 0, 0, 0, 10)
	s.arrive(Received, 0, 1, 1, 0)
	s.stored(0, 0, 10, 2, 0)
	s.stored(0, 1, 20, 1, 0)
	s.read(0, 0, 2)
	if err := s.judge(Rules{}).Err(); err != nil {
		t.Error(err)
	}
}

// Where leadership moves by itself, what was just gathered goes with it; what was
// read a second before is stored.
func TestWhatWasReadASecondAgoStaysWhereverLeadershipGoes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		wait   time.Duration
		rules  Rules
		broken int
	}{
		{0, Rules{Handovers: true}, 0}, {2 * time.Second, Rules{Handovers: true}, 1}, {0, Rules{}, 1},
	} {
		s := newStory(t)
		s.offset(OffsetRead, 1, 0, 5)
		s.now += c.wait
		s.offset(OffsetRead, 1, 0, 9)
		s.offset(OffsetRead, 1, 0, 4)
		if got := s.judge(c.rules).Broken["a consumer's offset isn't lost"]; got != c.broken {
			t.Errorf("%v later, %+v: blamed %d times, want %d", c.wait, c.rules, got, c.broken)
		}
	}
}

// brokenPromises are histories with one thing wrong, the rule that must find
// it, and a word of the events that must be shown.
var brokenPromises = []struct {
	name, rule, shown string
	tell              func(s *story)
}{
	{"a confirmed message is gone", "nothing confirmed is lost", "SEND_OK", func(s *story) {
		s.send(1, 0, 0, 0, 10)
		s.read(0, 0, 0)
	}},
	{"a confirmed message is elsewhere", "a message has one place", "offset 1", func(s *story) {
		s.send(1, 0, 0, 1, 20)
		s.stored(0, 0, 10, 1, 0)
		s.read(0, 0, 1)
	}},
	{"a confirmed message is at another position", "a message has one place", "position 20", func(s *story) {
		s.send(1, 0, 0, 0, 20)
		s.stored(0, 0, 10, 1, 0)
		s.read(0, 0, 1)
	}},
	{"a message that is stored weakly is elsewhere", "a message has one place", "FLUSH_SLAVE_TIMEOUT", func(s *story) {
		s.begin(1, 0, 0)
		s.end(1, 0, SlaveTimeout, 0, 3, 20)
		s.stored(0, 0, 10, 1, 0)
		s.read(0, 0, 1)
	}},
	{"a consumer got a message that is gone", "a consumer's messages stay", "consumer 0", func(s *story) {
		s.begin(1, 0, 0)
		s.arrive(Pulled, 0, 0, 1, 0)
		s.read(0, 0, 0)
	}},
	{"a consumer got a copy that is gone", "a consumer's messages stay", "offset 5", func(s *story) {
		s.send(2, 0, 0, 0, 10)
		s.arrive(Received, 0, 5, 2, 0)
		s.stored(0, 0, 10, 2, 0)
		s.read(0, 0, 1)
	}},
	{"a consumer got a message at another place than the receipt's", "a message has one place", "consumer 0", func(s *story) {
		s.send(1, 0, 0, 0, 10)
		s.arrive(Received, 0, 5, 1, 0)
		s.stored(0, 0, 10, 1, 0)
		s.read(0, 0, 1)
	}},
	{"the receipt comes after a consumer got it elsewhere", "a message has one place", "SEND_OK", func(s *story) {
		s.begin(1, 0, 0)
		s.arrive(Received, 0, 1, 1, 0)
		s.end(1, 0, OK, 0, 0, 10)
		s.stored(0, 0, 10, 1, 0)
		s.read(0, 0, 1)
	}},
	{"a consumer got what was never sent", "nothing is there that was not sent", "consumer 0", func(s *story) {
		s.arrive(Received, 0, 0, 1, 0)
	}},
	{"a refused message is there", "nothing is there that was not sent", "refused", func(s *story) {
		s.begin(1, 0, 0)
		s.end(1, 0, Refused, 0, 0, NoPosition)
		s.stored(0, 0, 10, 1, 0)
		s.read(0, 0, 1)
	}},
	{"a message is there that was never sent", "nothing is there that was not sent", "replica 0 has", func(s *story) {
		s.stored(0, 0, 10, 1, 0)
		s.read(0, 0, 1)
	}},
	{"a message is there more often than it was sent", "nothing is stored more often than it was sent", "offset 1", func(s *story) {
		s.writer(3, 1, false)
		s.send(3, 0, 0, 0, 10)
		s.stored(0, 0, 10, 3, 0)
		s.stored(0, 1, 20, 3, 0)
		s.read(0, 0, 2)
	}},
	{"a message is in another queue than it was sent to", "a message is where it was sent to", "queue 0/1", func(s *story) {
		s.begin(1, 0, 0)
		s.stored(1, 0, 10, 1, 0)
		s.read(0, 1, 1)
	}},
	{"a message is confirmed in another queue than it was sent to", "a message is where it was sent to", "queue 0/1", func(s *story) {
		s.begin(1, 0, 0)
		s.end(1, 0, OK, 1, 0, 10)
		s.stored(1, 0, 10, 1, 0)
		s.read(0, 1, 1)
	}},
	{"a message stands before one that was confirmed before", "a queue keeps the order of time", "message 1 of writer 2", func(s *story) {
		s.send(2, 0, 0, 1, 20)
		s.begin(2, 1, 0)
		s.stored(0, 0, 10, 2, 1)
		s.stored(0, 1, 20, 2, 0)
		s.read(0, 0, 2)
	}},
	{"a line is out of order", "a line keeps its order", "message 1 of writer 1", func(s *story) {
		s.begin(1, 0, 0)
		s.begin(1, 1, 0)
		s.stored(0, 0, 10, 1, 1)
		s.stored(0, 1, 20, 1, 0)
		s.read(0, 0, 2)
	}},
	{"an offset is missing", "offsets are dense", "offset 2", func(s *story) {
		s.begin(1, 0, 0)
		s.begin(1, 1, 0)
		s.stored(0, 0, 10, 1, 0)
		s.stored(0, 2, 20, 1, 1)
		s.read(0, 0, 3)
	}},
	{"the last offset is missing", "offsets are dense", "offsets 0 to 1", func(s *story) {
		s.send(1, 0, 0, 0, 10)
		s.stored(0, 0, 10, 1, 0)
		s.read(0, 0, 2)
	}},
	{"a queue begins late", "offsets are dense", "offsets 1 to 1", func(s *story) {
		s.send(1, 0, 0, 1, 10)
		s.stored(0, 1, 10, 1, 0)
		s.Record(Event{Kind: QueueRead, First: 1, Offset: 2})
	}},
	{"an offset is given twice", "nothing confirmed is lost", "offset 0", func(s *story) {
		s.send(2, 0, 0, 0, 10)
		s.send(2, 1, 0, 0, 10)
		s.stored(0, 0, 10, 2, 1)
		s.read(0, 0, 1)
	}},
	{"a position goes back", "positions and times grow", "position 10", func(s *story) {
		s.begin(1, 0, 0)
		s.begin(1, 1, 0)
		s.stored(0, 0, 20, 1, 0)
		s.Record(Event{Kind: Stored, Offset: 1, Position: 10, StoredMillis: 30, Message: Message{1, 1}})
		s.read(0, 0, 2)
	}},
	{"a store time goes back", "positions and times grow", "time 9", func(s *story) {
		s.begin(1, 0, 0)
		s.begin(1, 1, 0)
		s.stored(0, 0, 20, 1, 0)
		s.Record(Event{Kind: Stored, Offset: 1, Position: 30, StoredMillis: 9, Message: Message{1, 1}})
		s.read(0, 0, 2)
	}},
	{"a consumer that pulls misses an offset", "a consumer that pulls gets each offset after the one before it", "offset 2", func(s *story) {
		for n := range uint64(3) {
			s.begin(1, n, 0)
		}
		s.arrive(Pulled, 0, 0, 1, 0)
		s.arrive(Pulled, 0, 2, 1, 2)
	}},
	{"replicas differ", "copies are the same", "replica 1 has", func(s *story) {
		s.begin(1, 0, 0)
		s.begin(1, 1, 0)
		s.copied(0, 0, 0, 10, 1, 0)
		s.copied(1, 0, 0, 10, 1, 1)
		s.read(0, 0, 1)
		s.read(1, 0, 1)
	}},
	{"a confirmed consumer offset is lost", "a consumer's offset isn't lost", "confirmed", func(s *story) {
		s.offset(CommitBegan, 7, 0, 5)
		s.offset(CommitConfirmed, 7, 0, 5)
		s.event(FaultBegan)
		s.offset(OffsetRead, 7, 0, 4)
	}},
	{"a consumer offset from before a confirmed one is lost", "a consumer's offset isn't lost", "offset 9", func(s *story) {
		s.offset(OffsetRead, 8, 1, 9)
		s.offset(CommitBegan, 7, 0, 5)
		s.offset(CommitConfirmed, 7, 0, 5)
		s.event(FaultBegan)
		s.event(FaultEnded)
		s.offset(OffsetRead, 8, 1, 8)
	}},
	{"a consumer offset goes back although nothing happened", "a consumer's offset isn't lost", "offset 8", func(s *story) {
		s.offset(OffsetRead, 8, 1, 9)
		s.offset(OffsetRead, 8, 1, 8)
	}},
	{"a confirmed message reaches nobody", "everything confirmed arrives", "SEND_OK", func(s *story) {
		s.send(1, 0, 0, 0, 10)
		s.stored(0, 0, 10, 1, 0)
		s.read(0, 0, 1)
		s.event(Drained)
	}},
	{"the recorder saw something", "the runner saw it", "a fault", func(s *story) { s.event(Broken) }},
}

func TestEachBrokenPromiseIsFoundAndShown(t *testing.T) {
	t.Parallel()
	for _, c := range brokenPromises {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStory(t)
			s.writer(1, 1, true)
			s.writer(2, 2, false)
			c.tell(s)
			v := s.judge(Rules{})
			if len(v.Violations) != 1 || v.Violations[0].Rule != c.rule || v.Broken[c.rule] != 1 {
				t.Fatalf("want %q alone:\n%v", c.rule, v)
			}
			if shown := strings.Join(v.Violations[0].Events, "\n"); !strings.Contains(shown, c.shown) {
				t.Errorf("want events with %q:\n%v", c.shown, v)
			}
		})
	}
}

func TestTheLongestGapMayBeTheLastOne(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		at   []time.Duration // of SEND_OK; the first send begins at 10 s, the load ends at 20 s
		want time.Duration
	}{
		"between answers":      {[]time.Duration{11, 12, 16, 19}, 4 * time.Second},
		"before the first":     {[]time.Duration{15, 16, 17, 18}, 5 * time.Second},
		"open at the end":      {[]time.Duration{11, 12, 13}, 7 * time.Second},
		"there is none at all": {nil, 10 * time.Second},
		"after the end":        {[]time.Duration{12, 15, 18, 30}, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStory(t)
			s.writer(1, 1, false)
			s.now = 10*time.Second - time.Millisecond
			for n := range c.at {
				s.begin(1, uint64(n), 0)
			}
			if len(c.at) == 0 {
				s.begin(1, 0, 0)
			}
			s.now = 10*time.Second - time.Millisecond
			ended := false
			for n, at := range append(c.at, 20) {
				if at >= 20 && !ended {
					s.now = 20*time.Second - time.Millisecond
					s.event(LoadEnded)
					ended = true
				}
				if n < len(c.at) {
					s.now = at*time.Second - time.Millisecond
					s.end(1, uint64(n), OK, 0, int64(n), int64(n))
				}
			}
			v := s.judge(Rules{GapMax: c.want - 100*time.Millisecond})
			if got := v.Sources[0].Longest.Length().Round(100 * time.Millisecond); got != c.want {
				t.Errorf("the longest gap is %v, want %v", got, c.want)
			}
			if v.Broken["SEND_OK comes in time"] != 1 {
				t.Errorf("the gap is above the limit: %v", v)
			}
		})
	}
}

func TestAGapNamesItsFaults(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.writer(1, 1, false)
	s.send(1, 0, 0, 0, 10)
	s.Record(Event{Kind: FaultBegan, Fault: 1, Text: "kill node 0"})
	s.now += time.Second
	s.Record(Event{Kind: FaultEnded, Fault: 1})
	s.send(1, 1, 0, 1, 20)
	s.Record(Event{Kind: FaultBegan, Fault: 2, Text: "another"})
	s.event(LoadEnded)
	if text := s.judge(Rules{}).String(); !strings.Contains(text, "kill node 0") || strings.Contains(text, "another") {
		t.Errorf("want the kill alone:\n%s", text)
	}
}

func TestAHistoryThatContradictsItselfIsNoVerdict(t *testing.T) {
	t.Parallel()
	for name, tell := range map[string]func(s *story){
		"a writer begins twice":       func(s *story) { s.writer(1, 1, false) },
		"a number is left out":        func(s *story) { s.begin(1, 1, 0) },
		"nobody knows the writer":     func(s *story) { s.begin(5, 0, 0) },
		"a send ends before it began": func(s *story) { s.end(1, 0, OK, 0, 0, 0) },
		"a send ends twice": func(s *story) {
			s.send(1, 0, 0, 0, 0)
			s.end(1, 0, OK, 0, 0, 0)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStory(t)
			s.writer(1, 1, false)
			tell(s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if v, err := Judge(Open(s.open), Rules{}); err == nil {
				t.Errorf("want no verdict:\n%v", v)
			}
		})
	}
}

func TestManyViolationsAreCountedAndAFewAreShown(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.writer(1, 1, true)
	const lost = 1000
	for n := range uint64(lost) {
		s.send(1, n, 0, int64(n), int64(n))
	}
	s.read(0, 0, 0)
	if v := s.judge(Rules{}); v.Broken["nothing confirmed is lost"] != lost || len(v.Violations) != eachMax {
		t.Errorf("%d shown, counted %v", len(v.Violations), v.Broken)
	}
}

func TestARecorderKeepsTheOrderOfTime(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	now := time.Duration(0)
	r := NewRecorder(&out, func() time.Duration { return now })
	r.Record(Event{Kind: LoadEnded})
	now = 1500 * time.Millisecond
	r.Record(Event{Kind: Drained})
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	in, err := NewReader(&out)
	if err != nil {
		t.Fatal(err)
	}
	var first, second Event
	if err := in.Next(&first); err != nil || first.At != 0 {
		t.Errorf("%v, %v", first, err)
	}
	if err := in.Next(&second); err != nil || second.At != 1500*time.Millisecond || second.Kind != Drained {
		t.Errorf("%v, %v", second, err)
	}
	if err := in.Next(&second); err != io.EOF {
		t.Errorf("after the last event: %v, want io.EOF", err)
	}
}
