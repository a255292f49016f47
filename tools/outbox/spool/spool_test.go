package spool

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
)

const testSegment = 1 << 20

func options(dir string) Options {
	return Options{Dir: dir, BytesMax: 8 * testSegment, SegmentBytes: testSegment, EntryBytesMax: 64 << 10,
		Log: slog.New(slog.DiscardHandler)}
}

func openAt(t *testing.T, o Options) *Spool {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func stream(t *testing.T, s *Spool, name string, lane uint32) *Stream {
	t.Helper()
	st, err := s.Stream(name, lane)
	if err != nil {
		t.Fatal(err)
	}
	return st
}

// put puts entries one after the other and waits for each.
func put(t *testing.T, s *Spool, st *Stream, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if err := s.putWait(&Entry{Stream: st, Payload: event.Bytes(text), Keys: []uint64{Hash([]byte(text))}}); err != nil {
			t.Fatal(err)
		}
	}
	settle(t, s)
}

func settle(t *testing.T, s *Spool) {
	t.Helper()
	if err := s.Await(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// read lists what of a stream isn't done.
func read(t *testing.T, st *Stream) (texts []string) {
	t.Helper()
	_, err := st.Read(st.First(), engine.ReadLimits{Count: 1000, Bytes: 1 << 30, Scan: 1000}, func(i Item) error {
		texts = append(texts, string(i.Payload))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return texts
}

func expect(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %.200q, want %.200q", what, got, want)
	}
}

// eventually polls for what happens by itself.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("not within 20 s: %s", what)
		case <-tick.C:
		}
	}
}

func TestWhatWaitsIsThereAfterARestartAndWhatIsDoneIsNot(t *testing.T) {
	t.Parallel()
	o := options(t.TempDir())
	s := openAt(t, o)
	a, b := stream(t, s, "topic@one", 3), stream(t, s, "topic@two", 0)
	put(t, s, a, "a0", "a1", "a2")
	put(t, s, b, "b0")
	a.Done(2)
	eventually(t, "the mark to be recorded", func() bool { return a.Waiting() == 1 })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, o)
	defer s.Close()
	a, b = stream(t, s, "topic@one", 3), stream(t, s, "topic@two", 0)
	expect(t, "one", read(t, a), []string{"a2"})
	expect(t, "two", read(t, b), []string{"b0"})
	if a.Waiting() != 1 || b.Waiting() != 1 || len(s.Streams()) != 2 {
		t.Errorf("%d and %d wait in %d streams", a.Waiting(), b.Waiting(), len(s.Streams()))
	}
	put(t, s, a, "a3")
	expect(t, "one goes on", read(t, a), []string{"a2", "a3"})
	if st := s.Stats(); st.Entries != 3 || st.Bytes != a.Bytes()+b.Bytes() || st.Bytes < 100 || st.Oldest == 0 {
		t.Errorf("stats say %+v", st)
	}
}

func TestAnEntryIsFoundByKeyAndPlaceWhileItWaits(t *testing.T) {
	t.Parallel()
	s := openAt(t, options(t.TempDir()))
	defer s.Close()
	st := stream(t, s, "topic", 0)
	put(t, s, st, "first", "second")
	var at event.Position
	find := func(text string) (n int) {
		err := s.Find(Hash([]byte(text)), func(i Item) bool {
			if string(i.Payload) == text {
				n++
				at = i.Position
			}
			return true
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if find("second") != 1 || find("third") != 0 {
		t.Error("it isn't found by its key, or another is")
	}
	found := ""
	if err := s.At(at, func(i Item) { found = string(i.Payload) }); err != nil || found != "second" {
		t.Errorf("at %d stands %q, %v", at, found, err)
	}
	st.Done(2)
	if err := s.At(at, func(Item) {}); find("second") != 0 || !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("what is done is found: %v", err)
	}
}

func TestPeersAreThoseThatWereNotAnsweredYet(t *testing.T) {
	t.Parallel()
	s := openAt(t, options(t.TempDir()))
	defer s.Close()
	st := stream(t, s, "topic", 0)
	stored := make(chan *Entry, 10)
	begin := func() *Entry {
		e := &Entry{Stream: st, Payload: event.Bytes("x"), Stored: func(e *Entry) { stored <- e }}
		if err := s.Put(e); err != nil {
			t.Fatal(err)
		}
		return e
	}
	begin()
	second := begin()
	<-stored
	<-stored
	begin() // two before it aren't answered
	st.Answered(second.Offset)
	begin() // the third isn't; the first need not be looked at, as the second was answered
	<-stored
	<-stored
	settle(t, s)
	var peers []string
	if _, err := st.Read(0, engine.ReadLimits{Count: 9, Bytes: 999, Scan: 9}, func(i Item) error {
		peers = append(peers, fmt.Sprint(i.Peers))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	expect(t, "peers", peers, []string{"0", "1", "2", "1"})
}

func TestAFullSpoolRefusesAndKeepsWhatItHasAndFreesWhatIsDone(t *testing.T) {
	t.Parallel()
	s := openAt(t, options(t.TempDir()))
	defer s.Close()
	st := stream(t, s, "topic", 0)
	body := strings.Repeat("x", 60<<10)
	count := 0
	var err error
	for ; count < 1000; count++ {
		if err = s.putWait(&Entry{Stream: st, Payload: event.Bytes(body)}); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrFull) || count < 100 {
		t.Fatalf("after %d entries: %v", count, err)
	}
	if used := s.used(); used > s.options.BytesMax {
		t.Errorf("the log has %d bytes, %d are allowed", used, s.options.BytesMax)
	}
	settle(t, s)
	if got := len(read(t, st)); got != count {
		t.Errorf("%d of %d entries are there", got, count)
	}
	st.Done(event.Offset(count))
	eventually(t, "room for another", func() bool {
		return s.putWait(&Entry{Stream: st, Payload: event.Bytes(body)}) == nil
	})
	if st.Waiting() != 1 || s.Stats().Refused == 0 {
		t.Errorf("%d wait", st.Waiting())
	}
}

func TestTheQuarantineKeepsAnEntryUntilItIsRetriedOrDropped(t *testing.T) {
	t.Parallel()
	o := options(t.TempDir())
	s := openAt(t, o)
	st := stream(t, s, "topic", 5)
	put(t, s, st, "bad", "good", "worse")
	if err := st.Quarantine("too large"); err != nil {
		t.Fatal(err)
	}
	expect(t, "the stream", read(t, st), []string{"good", "worse"})
	st.Done(2)
	if err := st.Quarantine("illegal"); err != nil {
		t.Fatal(err)
	}
	settle(t, s)
	list := func() (texts []string, numbers []event.Offset) {
		if err := s.VisitQuarantine(func(c Quarantined) error {
			texts = append(texts, fmt.Sprintf("%s %s %d %s", c.Reason, c.Entry.Name, c.Lane, c.Entry.Payload))
			numbers = append(numbers, c.Number)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return texts, numbers
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, o)
	texts, numbers := list()
	expect(t, "the quarantine", texts, []string{"too large topic 5 bad", "illegal topic 5 worse"})
	if err := s.Retry(numbers[0]); err != nil {
		t.Fatal(err)
	}
	if err := s.Drop(numbers[1]); err != nil {
		t.Fatal(err)
	}
	if err := s.Drop(numbers[1]); !errors.Is(err, engine.ErrNotFound) {
		t.Errorf("dropped twice: %v", err)
	}
	settle(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openAt(t, o)
	defer s.Close()
	if texts, _ = list(); len(texts) != 0 || s.Stats().Quarantined != 0 {
		t.Errorf("the quarantine still has %q", texts)
	}
	expect(t, "the stream", read(t, stream(t, s, "topic", 5)), []string{"bad"})
}

func TestTheQuarantineDoesNotKeepTheSpaceOfWhatIsDone(t *testing.T) {
	t.Parallel()
	s := openAt(t, options(t.TempDir()))
	defer s.Close()
	st := stream(t, s, "topic", 0)
	put(t, s, st, "bad")
	if err := st.Quarantine("illegal"); err != nil {
		t.Fatal(err)
	}
	body := strings.Repeat("x", 60<<10)
	for range 6 * testSegment / len(body) {
		if err := s.putWait(&Entry{Stream: st, Payload: event.Bytes(body)}); err != nil {
			t.Fatal(err)
		}
	}
	st.Done(st.end())
	eventually(t, "the space to be free", func() bool { return s.used() < 2*testSegment })
	kept := ""
	if err := s.VisitQuarantine(func(c Quarantined) error {
		kept = string(c.Entry.Payload)
		return nil
	}); err != nil || kept != "bad" || s.Stats().Quarantined != 1 {
		t.Errorf("the quarantine has %q, %v", kept, err)
	}
}

// damage overwrites the only place of a segment that has the text.
func damage(t *testing.T, dir, text string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, logFolder, "*.seg"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(b, []byte(text)); at >= 0 {
			b[at] ^= 1
			if err := os.WriteFile(name, b, 0o644); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no segment has %q", text)
}

func TestADamagedEntryIsQuarantinedAndTheRestGoesOn(t *testing.T) {
	t.Parallel()
	o := options(t.TempDir())
	s := openAt(t, o)
	st := stream(t, s, "topic", 0)
	put(t, s, st, "delivered", "the first one", "the damaged one", "the last one")
	filler := stream(t, s, "filler", 0)
	for range 20 { // what is damaged stands in a segment that a start doesn't read
		put(t, s, filler, strings.Repeat("x", 60<<10))
	}
	st.Done(1)
	eventually(t, "the mark to be recorded", func() bool { return st.Waiting() == 3 })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	damage(t, o.Dir, "the damaged one")
	s = openAt(t, o)
	defer s.Close()
	settle(t, s)
	st = stream(t, s, "topic", 0)
	var got []string
	for from := st.First(); from < 4; from = st.First() {
		next, err := st.Read(from, engine.ReadLimits{Count: 1, Bytes: 1, Scan: 1}, func(i Item) error {
			got = append(got, string(i.Payload))
			return nil
		})
		switch {
		case err == nil && next > from:
			st.Done(next)
		case Damaged(err):
			if err := st.Quarantine(""); err != nil {
				t.Fatal(err)
			}
		default:
			t.Fatalf("read %d: %v", from, err)
		}
	}
	expect(t, "what goes on", got, []string{"the first one", "the last one"})
	if got := s.Stats(); got.Damaged != 1 || got.Quarantined != 1 || got.Folders != 0 {
		t.Errorf("stats say %+v", got)
	}
}

func TestALogThatCannotBeOpenedIsMovedAsideAndItsEntriesGoOn(t *testing.T) {
	t.Parallel()
	o := options(t.TempDir())
	s := openAt(t, o)
	st := stream(t, s, "topic", 7)
	put(t, s, st, "delivered", "a", "the damaged one", "b")
	st.Done(1)
	eventually(t, "the mark to be recorded", func() bool { return st.Waiting() == 3 })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	damage(t, o.Dir, "the damaged one") // in the last segment, which a start reads
	s = openAt(t, o)
	defer s.Close()
	expect(t, "taken over", read(t, stream(t, s, "topic", 7)), []string{"a", "b"})
	if got := s.Stats(); got.Folders != 1 || got.Damaged == 0 {
		t.Errorf("stats say %+v", got)
	}
}

// damagedSpool leaves a spool whose log can't be opened, with a and b whole.
func damagedSpool(t *testing.T) Options {
	t.Helper()
	o := options(t.TempDir())
	s := openAt(t, o)
	put(t, s, stream(t, s, "topic", 0), "a", "the damaged one", "b")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	damage(t, o.Dir, "the damaged one")
	return o
}

func TestADeathDuringARescueLosesNothing(t *testing.T) {
	t.Parallel()
	deaths := map[string]func(o Options) error{
		"before the new log is whole": func(o Options) error {
			o.Dir = filepath.Join(o.Dir, rescueFolder)
			s, err := Open(o)
			if err == nil {
				err = s.Close()
			}
			return err
		},
		"before the damaged log is moved aside": func(o Options) error {
			_, _, err := salvage(o)
			return err
		},
		"before the new log has its place": func(o Options) error {
			if _, _, err := salvage(o); err != nil {
				return err
			}
			return os.Rename(filepath.Join(o.Dir, logFolder), filepath.Join(o.Dir, damagedPrefix+"once"))
		},
	}
	for when, die := range deaths {
		t.Run(when, func(t *testing.T) {
			t.Parallel()
			o := damagedSpool(t)
			if err := die(o); err != nil {
				t.Fatal(err)
			}
			for range 2 { // and it stays so
				s := openAt(t, o)
				expect(t, "what goes on", read(t, stream(t, s, "topic", 0)), []string{"a", "b"})
				if got := s.Stats(); got.Folders != 1 {
					t.Errorf("stats say %+v", got)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if exists(filepath.Join(o.Dir, rescueFolder)) {
				t.Error("the rescue has left its folder")
			}
		})
	}
}

// golden compares bytes with those that version 1 has always had.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "golden", "v1", name))
	if err != nil {
		t.Fatal(err)
	}
	want, err := hex.DecodeString(strings.Join(strings.Fields(string(text)), ""))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: got\n%x, want\n%x, %v", name, got, want, err)
	}
}

func TestEntriesHaveTheBytesThatTheyAlwaysHad(t *testing.T) {
	t.Parallel()
	e := &Entry{Stream: &Stream{name: "topic@broker-a"}, Payload: event.Bytes("payload"), Doubt: true, Offset: 258, peers: 3}
	b := make([]byte, e.PayloadBytes())
	e.PutPayload(b)
	golden(t, "entry.hex", b)
	golden(t, "quarantined.hex", quarantined("the reason", 7, b))
	got, err := decode(b)
	if err != nil || got.Name != "topic@broker-a" || string(got.Payload) != "payload" || !got.Doubt || got.Offset != 258 || got.Peers != 3 {
		t.Errorf("it is read as %+v, %v", got, err)
	}
}

// FuzzDecode: whatever the bytes are, decoding them doesn't panic, and what it
// takes lies in them.
func FuzzDecode(f *testing.F) {
	f.Add([]byte{entryVersion, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 'n', 'x'})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		i, err := decode(b)
		if err == nil && len(i.Payload)+len(i.Name)+entryHeadBytes != len(b) {
			t.Errorf("%d bytes become a name of %d and a payload of %d", len(b), len(i.Name), len(i.Payload))
		}
	})
}
