package commitlog

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
)

func testOptions(t testing.TB, d disk.Disk) Options {
	return Options{
		Disk:         d,
		SegmentBytes: 1 << 20, HistoryBytes: 1 << 20,
		Create: Creation{Meta: Meta{Log: event.LogID{1, 2, 3}}, Configuration: []byte("configuration"), Timestamp: 1000},
		Fatal:  func(err error) { t.Errorf("fatal: %v", err) },
	}
}

func openPosix(t testing.TB) disk.Disk {
	t.Helper()
	d, err := disk.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func mustOpen(t testing.TB, o Options) (*Log, Recovery) {
	t.Helper()
	l, r, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return l, r
}

// encoded is one event whose payload can be told from every other's.
func encoded(seed event.Seed, n int, payloadBytes int) []byte {
	p := bytes.Repeat([]byte{'x'}, payloadBytes)
	copy(p, fmt.Sprintf("event %d ", n))
	d := event.Draft{Kind: event.KindMessage, Stream: event.StreamQueue, Topic: 1, Payload: event.Bytes(p)}
	b := make([]byte, d.EncodedBytes())
	d.Encode(b, seed)
	return b
}

func mustAppend(t testing.TB, l *Log, data []byte) Ticket {
	t.Helper()
	ticket, err := l.Append(Batch{Kind: FrameEvents, Term: 1, Events: 1, Timestamp: 2000, Data: data})
	if err != nil {
		t.Fatal(err)
	}
	return ticket
}

// frames reads the whole log and returns the data of each frame.
func frames(t testing.TB, l *Log) [][]byte {
	t.Helper()
	first, _ := l.First()
	end, _, _ := l.End()
	var all [][]byte
	c := l.CursorFrom(first)
	err := c.Visit(end, func(f Frame) error {
		if f.Index != event.Index(len(all))+first {
			t.Fatalf("frame %d where %d was expected", f.Index, event.Index(len(all))+first)
		}
		all = append(all, bytes.Clone(f.Data))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestAppendedBatchesAreThereAfterReopen(t *testing.T) {
	t.Parallel()
	d := openPosix(t)
	l, r := mustOpen(t, testOptions(t, d))
	if !r.Created {
		t.Fatal("an empty folder must give a new log")
	}
	rng := rand.New(rand.NewPCG(1, 2))
	var want [][]byte
	var last Ticket
	for i := range 3000 {
		size := rng.IntN(3000)
		if i%100 == 0 {
			size = 100 << 10
		}
		data := encoded(l.Seed(), i, size)
		want = append(want, data)
		last = mustAppend(t, l, data)
		if i%7 == 0 {
			if err := l.Wait(last, Durable); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := l.Wait(last, Durable); err != nil {
		t.Fatal(err)
	}
	compare(t, frames(t, l)[1:], want)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}

	l, r = mustOpen(t, testOptions(t, d))
	if r.TornBytes != 0 || r.End != last.Index {
		t.Fatalf("clean reopen: %+v, want end %d and nothing torn", r, last.Index)
	}
	compare(t, frames(t, l)[1:], want)
	mustAppend(t, l, encoded(l.Seed(), 3000, 10))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func compare(t testing.TB, got, want [][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d frames, want %d", len(got), len(want))
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Fatalf("frame %d differs", i)
		}
	}
}

func TestAnEventIsFoundByItsPositionAndOnlyByItsStart(t *testing.T) {
	t.Parallel()
	d := openPosix(t)
	l, _ := mustOpen(t, testOptions(t, d))
	var tickets []Ticket
	for i := range 2500 {
		tickets = append(tickets, mustAppend(t, l, encoded(l.Seed(), i, 700)))
		if i%50 == 0 {
			if err := l.Wait(tickets[i], Written); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := l.Wait(tickets[len(tickets)-1], Durable); err != nil {
		t.Fatal(err)
	}
	check := func(l *Log) {
		r := l.NewReader()
		for i := 0; i < len(tickets); i += 13 {
			ticket := tickets[i]
			want := encoded(l.Seed(), i, 700)
			err := r.Find(ticket.Position, func(e Event) error {
				if !bytes.Equal(e.Bytes, want) || e.Timestamp != 2000 {
					t.Errorf("position %d: another event", ticket.Position)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			err = r.Find(ticket.Position+5, func(Event) error { return nil })
			if !errors.Is(err, ErrNotFound) {
				t.Fatalf("position inside an event: %v, want ErrNotFound", err)
			}
		}
		if err := r.Find(1<<40, func(Event) error { return nil }); !errors.Is(err, ErrNotFound) {
			t.Fatalf("position past the end: %v, want ErrNotFound", err)
		}
	}
	check(l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l, _ = mustOpen(t, testOptions(t, d))
	check(l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
