package check

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"slices"
	"testing"
	"time"
)

// samples has an event of each kind with large numbers.
func samples() []Event {
	m := Message{Writer: 1<<32 - 1, Number: numbersMax}
	return []Event{
		{Kind: WriterBegan, Message: Message{Writer: 7}, Tries: 3, Line: true, Text: "a source"},
		{Kind: SendBegan, Message: m, Queue: NoQueue},
		{Kind: SendEnded, Message: m, Status: OK, Code: -1, Queue: 300, Offset: 1 << 35, Position: 1 << 60},
		{Kind: SendEnded, Message: m, Status: Unknown, Position: NoPosition},
		{Kind: Received, Message: m, Reader: 4, Queue: 2, Offset: 9},
		{Kind: Pulled, Message: m, Reader: 4, Queue: 2, Offset: 9},
		{Kind: Stored, Message: m, Reader: 4, Queue: 2, Offset: 9, Position: 5, StoredMillis: 1 << 41},
		{Kind: QueueRead, Reader: 4, Queue: 2, First: 1, Offset: 9},
		{Kind: CommitBegan, Reader: 4, Queue: 2, Offset: 9},
		{Kind: CommitConfirmed, Reader: 4, Queue: 2, Offset: 9},
		{Kind: OffsetRead, Reader: 4, Queue: 2, Offset: -1},
		{Kind: FaultBegan, Fault: 5, Text: "kill node 1"},
		{Kind: FaultEnded, Fault: 5},
		{Kind: LoadEnded},
		{Kind: Drained},
		{Kind: Broken, Text: "node 0 ended by itself"},
	}
}

func opened(b []byte) Open {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
}

func recorded(t testing.TB, events []Event) []byte {
	t.Helper()
	var out bytes.Buffer
	now := time.Duration(0)
	r := NewRecorder(&out, func() time.Duration { now += 1234 * time.Microsecond; return now })
	for _, e := range events {
		r.Record(e)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestEventsComeBackAsTheyWereRecorded(t *testing.T) {
	t.Parallel()
	events := samples()
	r, err := NewReader(bytes.NewReader(recorded(t, events)))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range events {
		var got Event
		if err := r.Next(&got); err != nil {
			t.Fatal(err)
		}
		want.At = time.Duration(i+1) * 1234 * time.Microsecond
		if got != want {
			t.Errorf("event %d: got %+v, want %+v", i, got, want)
		}
		if got.String() == "" {
			t.Errorf("event %d has no text", i)
		}
	}
	if err := r.Next(new(Event)); err != io.EOF {
		t.Errorf("after the last event: %v", err)
	}
	for kind := Kind(1); kind < kindsEnd; kind++ {
		if !slices.ContainsFunc(events, func(e Event) bool { return e.Kind == kind }) {
			t.Errorf("no sample of kind %d", kind)
		}
	}
}

func TestAHistoryThatIsCutOffIsNotTakenForAWhole(t *testing.T) {
	t.Parallel()
	whole := recorded(t, samples()[:3])
	for length := range whole {
		events := 0
		err := opened(whole[:length]).Each(func(*Event) error { events++; return nil })
		if err == nil && events == 3 {
			t.Errorf("%d of %d bytes were taken for all", length, len(whole))
		}
	}
}

var errFull = errors.New("no space")

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

func TestARecorderReportsThatItCouldNotWrite(t *testing.T) {
	t.Parallel()
	r := NewRecorder(fullDisk{}, func() time.Duration { return 0 })
	for range 1 << 16 {
		r.Record(Event{Kind: Drained})
	}
	if err := r.Close(); !errors.Is(err, errFull) {
		t.Errorf("close: %v", err)
	}
}

// A million messages, each sent, confirmed and read back.
func TestJudgingTakesAFewBytesForAMessage(t *testing.T) {
	const messages, bytesEach = 1_000_000, 24
	if testing.Short() {
		t.Skip("takes a second")
	}
	in, out := io.Pipe()
	go func() {
		now := time.Duration(0)
		r := NewRecorder(out, func() time.Duration { now += time.Microsecond; return now })
		r.Record(Event{Kind: WriterBegan, Tries: 1, Line: true, Text: "test"})
		for n := range uint64(messages) {
			e := Event{Kind: SendBegan, Message: Message{Number: n}, Queue: 3}
			r.Record(e)
			e.Kind, e.Status, e.Offset, e.Position = SendEnded, OK, int64(n), int64(n*100)
			r.Record(e)
		}
		for n := range uint64(messages) {
			r.Record(Event{Kind: Stored, Message: Message{Number: n}, Queue: 3, Offset: int64(n), Position: int64(n * 100)})
		}
		r.Record(Event{Kind: QueueRead, Queue: 3, Offset: messages})
		_ = out.CloseWithError(r.Close())
	}()
	j := newJudgement(Rules{})
	before := heapBytes()
	if err := Open(func() (io.ReadCloser, error) { return in, nil }).Each(j.take); err != nil {
		t.Fatal(err)
	}
	each := float64(heapBytes()-before) / messages
	v := j.verdict()
	if err := v.Err(); err != nil || v.Stored != messages {
		t.Errorf("%d stored: %v", v.Stored, err)
	}
	if each > bytesEach {
		t.Errorf("%.1f bytes for a message, want at most %d", each, bytesEach)
	}
}

func heapBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// FuzzHistory holds that no bytes make the judge panic or take memory that
// they don't pay for.
func FuzzHistory(f *testing.F) {
	f.Add(recorded(f, samples()))
	f.Add([]byte(magic))
	f.Add([]byte(magic + "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	var s story
	s.Recorder = NewRecorder(&s.text, func() time.Duration { return 0 })
	good(&s)
	goodCopies(&s)
	_ = s.Close()
	f.Add(s.text.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := Judge(opened(b), Rules{GapMax: 1})
		if err == nil {
			_ = v.String()
		}
	})
}

func TestADamagedBodyIsNotTakenForAMessage(t *testing.T) {
	t.Parallel()
	for number := range uint64(50) {
		want := Message{Writer: 3, Number: number}
		body := Body(want)
		if got, err := Identify(body); err != nil || got != want {
			t.Errorf("%v, %v; want %v", got, err, want)
		}
		for at := 0; at < len(body); at += 1 + len(body)/7 {
			body[at] ^= 1
			if got, err := Identify(body); err == nil {
				t.Errorf("with byte %d of %d changed it is %v", at, len(body), got)
			}
			body[at] ^= 1
		}
		if _, err := Identify(body[:len(body)-1]); err == nil {
			t.Error("a body that is cut short is taken for a whole one")
		}
	}
}
