package commitlog

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
)

// twins are two copies of a log of several segments, as replicas have them, the
// second one open.
type twins struct {
	good, l *Log
	dir     string
	data    [][]byte
	at      []Frame // of the second copy, without data
	repairs []Repair
	offline bool // the good copy can't be reached
}

// good as a Copy.
type twinCopy struct{ t *twins }

func (c twinCopy) Name() string { return "twin" }

func (c twinCopy) Frames(first, last event.Index, take func([]byte) error) error {
	if c.t.offline {
		return errors.New("it can't be reached")
	}
	for i := first; i <= last; i++ {
		b, err := c.t.good.CopyFrame(i, nil)
		if err != nil {
			return err
		}
		if err := take(b); err != nil {
			return err
		}
	}
	return nil
}

func (w *twins) options(t *testing.T, d disk.Disk) Options {
	o := testOptions(t, d)
	o.SegmentBytes, o.TailBytes = 1<<20, 512<<10
	return o
}

func newTwins(t *testing.T, sizes func(i int) int) *twins {
	t.Helper()
	w := &twins{}
	first, second := openPosix(t), openPosix(t)
	w.dir = second.Path()
	w.good, _ = mustOpen(t, w.options(t, first))
	l, _ := mustOpen(t, w.options(t, second))
	for i := range 60 {
		b := encoded(l.Seed(), i, sizes(i))
		w.data = append(w.data, b)
		for _, log := range []*Log{w.good, l} {
			if err := log.Wait(mustAppend(t, log, b), Durable); err != nil {
				t.Fatal(err)
			}
		}
	}
	end, _, _ := l.End()
	if err := l.CursorFrom(2).Visit(end, func(f Frame) error { w.at = append(w.at, f); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if w.l != nil {
			if err := w.l.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := w.good.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *twins) open(t *testing.T) Recovery {
	t.Helper()
	d, err := disk.Open(w.dir)
	if err != nil {
		t.Fatal(err)
	}
	o := w.options(t, d)
	o.Copies = func() []Copy { return []Copy{twinCopy{w}} }
	o.OnRepair = func(r Repair) { w.repairs = append(w.repairs, r) }
	var r Recovery
	w.l, r = mustOpen(t, o)
	return r
}

// spoil damages bytes of frame i (from 0), counted from its header.
func (w *twins) spoil(t *testing.T, i, from, to int) {
	t.Helper()
	path := filepath.Join(w.dir, segmentName(w.at[i].Segment))
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := int(w.at[i].Offset)
	for k := from; k < to; k++ {
		b[at+k] ^= 0x55
	}
	patch(t, path, int64(at+from), b[at+from:at+to])
}

// segments returns the contents of the segment files of a folder.
func segmentFiles(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	names, err := filepath.Glob(filepath.Join(dir, "*"+segmentEnd))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if all[filepath.Base(name)], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func (w *twins) place(i int) Place {
	return Place{Segment: w.at[i].Segment, Offset: w.at[i].Offset, Position: w.at[i].Position, Bytes: int(w.at[i].DataBytes)}
}

func mixedSizes(i int) int { return 300 + i%7*2000 + i%5/4*70_000 }

func TestADamagedFrameIsFetchedFromAnotherCopyAndNeverServed(t *testing.T) {
	t.Parallel()
	ways := map[string]func(w *twins, i int) ([]byte, error){
		"by its place": func(w *twins, i int) (b []byte, err error) {
			r := w.l.NewReader()
			defer r.Release()
			err = r.Read(w.place(i), func(e Event) error { b = append(b, e.Bytes...); return nil })
			return b, err
		},
		"by its position": func(w *twins, i int) (b []byte, err error) {
			err = w.l.NewReader().Find(w.at[i].Position, func(e Event) error { b = append(b, e.Bytes...); return nil })
			return b, err
		},
		"by position and length": func(w *twins, i int) (b []byte, err error) {
			r := w.l.NewReader()
			defer r.Release()
			err = r.FindEntry(w.at[i].Position, int(w.at[i].DataBytes), func(e Event) error { b = append(b, e.Bytes...); return nil })
			return b, err
		},
		"by its index": func(w *twins, i int) (b []byte, err error) {
			err = w.l.NewReader().Frame(w.at[i].Index, func(f Frame) error { b = append(b, f.Data...); return nil })
			return b, err
		},
	}
	damages := map[string][2]int{"in its data": {headerBytes + 200, headerBytes + 201}, "in its header": {20, 21}, "all of it": {0, 300}}
	for way, read := range ways {
		for damage, span := range damages {
			t.Run(damage+" read "+way, func(t *testing.T) {
				t.Parallel()
				w := newTwins(t, mixedSizes)
				before := segmentFiles(t, w.dir)
				const i = 7
				w.spoil(t, i, span[0], span[1])
				w.open(t)
				b, err := read(w, i)
				if err != nil || !bytes.Equal(b, w.data[i]) {
					t.Fatalf("%d bytes, %v; want the frame as it was", len(b), err)
				}
				if s := w.l.Stats(); s.Damages != 1 || s.Repaired != 1 || s.Unrepaired != 0 {
					t.Errorf("counted %d damages, %d repaired, %d not", s.Damages, s.Repaired, s.Unrepaired)
				}
				if len(w.repairs) != 1 || w.repairs[0].First != w.at[i].Index || w.repairs[0].Last != w.at[i].Index || w.repairs[0].Moved != (damage != "in its data") {
					t.Errorf("told of repairs %+v", w.repairs)
				}
				w.mustBeAsBefore(t, before)
				if kept, err := os.ReadFile(filepath.Join(w.dir, w.repairs[0].Kept)); err != nil || len(kept) == 0 {
					t.Errorf("damaged bytes kept: %d, %v", len(kept), err)
				}
			})
		}
	}
}

// mustBeAsBefore compares the segment files, but for local words and their
// checksums.
func (w *twins) mustBeAsBefore(t *testing.T, before map[string][]byte) {
	t.Helper()
	for name, b := range segmentFiles(t, w.dir) {
		for i := range w.at {
			if segmentName(w.at[i].Segment) != name {
				continue
			}
			at := w.at[i].Offset
			copy(b[at+sharedHeaderBytes:at+headerBytes], before[name][at+sharedHeaderBytes:])
		}
		for at := range before[name] {
			if b[at] != before[name][at] {
				t.Fatalf("segment %s differs at %d", name, at)
			}
		}
	}
}

func TestManyDamagedFramesAreReplacedWhereTheyStood(t *testing.T) {
	t.Parallel()
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 1))
			w := newTwins(t, func(int) int { return 100 + rng.IntN(2)*rng.IntN(100_000) })
			before := segmentFiles(t, w.dir)
			segments := map[event.Position]bool{}
			for range 1 + rng.IntN(4) {
				i := rng.IntN(40)
				segments[w.at[i].Segment] = true
				// What stands behind it in the segment goes with it, or not.
				w.spoil(t, i, rng.IntN(60), 60+rng.IntN(int(w.at[i].DataBytes)))
			}
			w.open(t)
			compare(t, frames(t, w.l)[1:], w.data)
			w.mustBeAsBefore(t, before)
			if w.l.Stats().Repaired == 0 {
				t.Error("nothing was repaired")
			}
		})
	}
}

func TestADamageThatNoCopyCanRepairFailsTheReadAlone(t *testing.T) {
	t.Parallel()
	w := newTwins(t, mixedSizes)
	w.spoil(t, 7, headerBytes+10, headerBytes+11)
	w.offline = true
	w.open(t)
	read := func(i int) error {
		r := w.l.NewReader()
		defer r.Release()
		return r.Read(w.place(i), func(Event) error { return nil })
	}
	if err := read(7); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("reading a damaged event: %v", err)
	}
	if err := read(8); err != nil {
		t.Fatal(err)
	}
	if s := w.l.Stats(); s.Repaired != 0 || s.Unrepaired != 1 {
		t.Errorf("%d repaired, %d not", s.Repaired, s.Unrepaired)
	}
	w.offline = false
	w.l.unmended = unmended{} // as if the pause were over
	if err := read(7); err != nil {
		t.Fatalf("reading it when the copy is back: %v", err)
	}
}

// liar gives frames that are whole, and not those that were there.
type liar [][]byte

func (liar) Name() string { return "liar" }

func (l liar) Frames(_, _ event.Index, take func([]byte) error) error {
	for _, frame := range l {
		if err := take(frame); err != nil {
			return err
		}
	}
	return nil
}

func TestAFrameThatDoesNotFitBetweenItsNeighboursIsNotTaken(t *testing.T) {
	t.Parallel()
	t.Run("the one behind doesn't continue it", func(t *testing.T) { refusesWrong(t, 7) })
	t.Run("the damaged one behind doesn't continue it", func(t *testing.T) { refusesWrong(t, 7, 8) })
}

// refusesWrong offers a wrong frame for the first of those that are damaged, and
// the right one for the second.
func refusesWrong(t *testing.T, damaged ...int) {
	t.Parallel()
	w := newTwins(t, mixedSizes)
	for _, i := range damaged {
		w.spoil(t, i, 0, 100)
	}
	w.open(t)
	behind, err := w.good.CopyFrame(w.at[8].Index, nil) // the right one behind the wrong one
	if err != nil {
		t.Fatal(err)
	}
	h := w.at[7].Header
	other := encoded(w.l.Seed(), 1000, mixedSizes(7))
	h.DataCRC = sumOf(FrameEvents, other, w.l.Seed())
	frame := make([]byte, headerBytes)
	h.put(frame, w.l.Seed())
	offer := liar{append(frame[:sharedHeaderBytes], other...), behind}[:len(damaged)]
	w.l.opts.Copies = func() []Copy { return []Copy{offer} }
	err = w.l.NewReader().Frame(w.at[7].Index, func(Frame) error { return nil })
	if !errors.Is(err, ErrCorrupt) || w.l.Stats().Repaired != 0 {
		t.Fatalf("a frame that nobody had stored: %v", err)
	}
	w.l.opts.Copies = func() []Copy { return []Copy{liar{frame[:10]}, twinCopy{w}} }
	w.l.unmended = unmended{}
	compare(t, frames(t, w.l)[1:], w.data)
}
