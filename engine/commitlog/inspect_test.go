package commitlog

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
	"github.com/apogeemq/apogee/engine/event"
)

// folder is a log folder in memory: what Inspect needs and no more.
type folder map[string][]byte

type fileBytes struct {
	disk.File // nothing but reading is allowed
	*bytes.Reader
}

func (f fileBytes) ReadAt(p []byte, at int64) (int, error) { return f.Reader.ReadAt(p, at) }
func (f fileBytes) Size() (int64, error)                   { return f.Reader.Size(), nil }
func (f fileBytes) Close() error                           { return nil }

func (f folder) Path() string                  { return "memory" }
func (f folder) List(string) ([]string, error) { return slices.Sorted(maps.Keys(f)), nil }

func (f folder) Open(name string, mode disk.Mode) (disk.File, error) {
	b, ok := f[name]
	if !ok {
		return nil, disk.ErrNotFound
	}
	if mode != disk.Read {
		return nil, disk.ErrReadOnly
	}
	return fileBytes{Reader: bytes.NewReader(b)}, nil
}

// but is a copy in which one file is replaced, or missing where b is nil.
func (f folder) but(name string, b []byte) folder {
	c := maps.Clone(f)
	delete(c, name)
	if b != nil {
		c[name] = b
	}
	return c
}

// smallOptions give segments of 64 KiB.
func smallOptions(t testing.TB, d disk.Disk) Options {
	o := testOptions(t, d)
	o.SegmentBytes, o.TailBytes, o.HistoryBytes = 64<<10, 48<<10, historyBlockBytes
	return o
}

// threeSegments is a log of 60 frames in three segments, closed, and the data
// of each frame after the first.
func threeSegments(t testing.TB) (folder, [][]byte) {
	t.Helper()
	d := openPosix(t)
	l, _ := mustOpen(t, smallOptions(t, d))
	var data [][]byte
	for n := range 60 {
		b := append(encoded(l.Seed(), n, 1000+n), encoded(l.Seed(), n+100, 1300)...)
		data = append(data, b)
		ticket, err := l.Append(Batch{Kind: FrameEvents, Term: 1, Events: 2, Timestamp: int64(2000 + n), Data: b})
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Wait(ticket, Durable); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	f := load(t, d.Path())
	if len(f) != 6 { // lock, mark, meta, three segments
		t.Fatalf("the log has files %v, three segments are needed", slices.Sorted(maps.Keys(f)))
	}
	return f, data
}

func load(t testing.TB, dir string) folder {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	f := folder{}
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		f[e.Name()] = b
	}
	return f
}

func inspect(t testing.TB, f Folder) (Report, []Finding) {
	t.Helper()
	var all []Finding
	r, err := Inspect(Inspection{Folder: f, Finding: func(f Finding) { all = append(all, f) }})
	if err != nil {
		t.Fatal(err)
	}
	return r, all
}

func segmentsOf(f folder) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(f)) {
		if strings.HasSuffix(name, segmentEnd) {
			names = append(names, name)
		}
	}
	return names
}

func TestInspectVisitsEveryFrameAndEventOfACleanLog(t *testing.T) {
	t.Parallel()
	f, data := threeSegments(t)
	var frames [][]byte
	var events []byte
	r, err := Inspect(Inspection{
		Folder:  f,
		Finding: func(f Finding) { t.Error(f) },
		Frame: func(f Frame) error {
			frames = append(frames, bytes.Clone(f.Data))
			return nil
		},
		Event: func(f Frame, e Event) error {
			if e.Position < f.Position || e.Position >= f.End() {
				t.Errorf("event at %d in a frame at %d", e.Position, f.Position)
			}
			events = append(events, e.Bytes...)
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	compare(t, frames[1:], data)
	if !bytes.Equal(events, bytes.Join(data, nil)) {
		t.Error("the events aren't those that were appended")
	}
	if len(r.Segments) != 3 || r.Frames != 61 || r.Events != 120 || r.First != 1 || r.Last != 61 ||
		r.FirstTimestamp != 1000 || r.LastTimestamp != 2059 || r.DurableInMark != 61 || r.DurableInFrames != 60 || r.Live {
		t.Errorf("report %+v", r)
	}
}

func TestInspectPassesOverSegmentsThatEndBefore(t *testing.T) {
	t.Parallel()
	f, _ := threeSegments(t)
	names := segmentsOf(f)
	base, _ := parseSegmentName(names[1])
	for _, o := range []Inspection{{From: base}, {From: base + 5}, {FromTimestamp: 2030}} {
		o.Folder = f
		first := event.Index(0)
		o.Finding = func(f Finding) { t.Error(f) }
		o.Frame = func(f Frame) error {
			if first == 0 {
				first = f.Index
			}
			return nil
		}
		r, err := Inspect(o)
		if err != nil {
			t.Fatal(err)
		}
		if !r.Segments[0].PassedOver || r.Segments[1].PassedOver || first == 1 || r.Last != 61 {
			t.Errorf("report %+v, first frame %d", r, first)
		}
	}
}

// probes are the places whose bytes are damaged: all of the first frames of a
// file, and some of everything else.
func probes(b []byte, rng *rand.Rand) []int {
	var places []int
	for at := 0; at < min(len(b), 140); at++ {
		places = append(places, at)
	}
	for at := 4096; at < min(len(b), 4096+400); at++ {
		places = append(places, at)
	}
	for range 300 {
		places = append(places, rng.IntN(len(b)))
	}
	return places
}

func TestAnyDamagedByteIsFoundAndItsPlaceNamed(t *testing.T) {
	t.Parallel()
	f, _ := threeSegments(t)
	rng := rand.New(rand.NewPCG(3, 4))
	for name, whole := range f {
		if name == lockName {
			continue
		}
		for _, at := range probes(whole, rng) {
			bad := bytes.Clone(whole)
			bad[at] ^= byte(1 << rng.IntN(8))
			r, all := inspect(t, f.but(name, bad))
			if !slices.ContainsFunc(all, func(x Finding) bool { return x.File == name && x.Offset <= int64(at) }) {
				t.Fatalf("%s byte %d: findings %v", name, at, all)
			}
			if want := name == markName || isBehindTheEnd(f, name, at); (r.Corrupt == 0) != want {
				t.Fatalf("%s byte %d: torn %d, corrupt %d, findings %v", name, at, r.Torn, r.Corrupt, all)
			}
		}
	}
}

// isBehindTheEnd: bytes after the log's end are torn, not corrupt.
func isBehindTheEnd(f folder, name string, at int) bool {
	names := segmentsOf(f)
	return name == names[2] && at >= len(bytes.TrimRight(f[name], "\x00"))
}

func TestDamageIsNamedByEventAndTheRestIsStillRead(t *testing.T) {
	t.Parallel()
	f, data := threeSegments(t)
	name := segmentsOf(f)[0]
	at := bytes.Index(f[name], data[4]) + 1100 // inside the second event
	bad := bytes.Clone(f[name])
	bad[at] ^= 1
	r, all := inspect(t, f.but(name, bad))
	if len(all) != 1 || r.Frames != 60 || r.Events != 119 || r.Last != 61 {
		t.Fatalf("report %+v, findings %v", r, all)
	}
	e, _, err := event.Split(data[4])
	if err != nil {
		t.Fatal(err)
	}
	if want := int64(bytes.Index(f[name], data[4]) + len(e)); all[0].Offset != want || !errors.Is(all[0].Err, ErrCorrupt) {
		t.Errorf("finding %v, want the event at %d", all[0], want)
	}

	at = bytes.Index(f[name], data[4]) - headerBytes
	clear(bad[at : at+headerBytes])
	if r, all = inspect(t, f.but(name, bad)); len(all) != 1 || r.Last != 61 || r.Frames != 60 {
		t.Errorf("without its header: report %+v, findings %v", r, all)
	}
}

func TestWrongFilesAreNamed(t *testing.T) {
	t.Parallel()
	f, _ := threeSegments(t)
	names := segmentsOf(f)
	d := openPosix(t)
	o := smallOptions(t, d)
	o.Create.Meta.Log = event.LogID{9}
	l, _ := mustOpen(t, o)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	foreign := load(t, d.Path())[segmentName(0)]
	future := make([]byte, blockHeaderBytes+markPayloadBytes)
	seed := event.LogID{1, 2, 3}.Seed()
	putBlock(future, blockMark, seed, []byte{70, 0, 0, 0, 0, 0, 0, 0})
	cut := make([]byte, blockHeaderBytes+cutPayloadBytes)
	putBlock(cut, blockCut, seed, []byte{61, 0, 0, 0, 0, 0, 0, 0})
	newer := bytes.Clone(f[metaName])
	newer[4] = 2
	le := blockSum(newer, metaPayloadBytes, 0)
	copy(newer[12:], []byte{byte(le), byte(le >> 8), byte(le >> 16), byte(le >> 24)})
	for what, c := range map[string]struct {
		folder folder
		place  string
		class  error
	}{
		"foreign segment":     {f.but(names[0], foreign), names[0] + " at 0: corrupt log: segment of log 09", ErrCorrupt},
		"truncated segment":   {f.but(names[1], f[names[1]][:9000]), names[1] + " at 9000: corrupt log: file of 9000 bytes", ErrCorrupt},
		"lengthened segment":  {f.but(names[2], append(bytes.Clone(f[names[2]]), 0)), names[2] + " at 65536", ErrCorrupt},
		"empty segment":       {f.but(names[1], []byte{}), names[1] + " at 0", ErrCorrupt},
		"missing segment":     {f.but(names[1], nil), names[0] + " at", ErrCorrupt},
		"missing last":        {f.but(names[2], nil), names[1] + " at", ErrCorrupt},
		"copied segment":      {f.but(segmentName(77), f[names[0]]), segmentName(77) + " at 0: corrupt log: the header says base position 0", ErrCorrupt},
		"no meta":             {f.but(metaName, nil), "meta at 0: corrupt log: no such file", ErrCorrupt},
		"newer meta":          {f.but(metaName, newer), "meta at 0: newer log format", ErrNewerFormat},
		"mark past the end":   {f.but(markName, future), names[2] + " at", ErrCorrupt},
		"damaged mark":        {f.but(markName, []byte("no mark")), "mark at 0: torn tail", ErrTorn},
		"no mark is fine":     {f.but(markName, nil), "", nil},
		"unfinished Truncate": {f.but(cutName, cut), "cut at 0: torn tail: the log was being truncated after frame 61", ErrTorn},
		"no segment":          {folder{metaName: f[metaName]}, "meta at 0: corrupt log: the folder has no segment", ErrCorrupt},
	} {
		_, all := inspect(t, c.folder)
		if c.class == nil {
			if len(all) > 0 {
				t.Errorf("%s: findings %v", what, all)
			}
		} else if !slices.ContainsFunc(all, func(x Finding) bool { return strings.HasPrefix(x.String(), c.place) && errors.Is(x.Err, c.class) }) {
			t.Errorf("%s: findings %v, want %q", what, all, c.place)
		}
	}
	if _, err := Inspect(Inspection{Folder: folder{}}); !errors.Is(err, ErrNotFound) {
		t.Errorf("an empty folder: %v, want ErrNotFound", err)
	}
}

// TestInspectSaysWhatOpenDoes lets a simulated disk lose power and compares.
func TestInspectSaysWhatOpenDoes(t *testing.T) {
	t.Parallel()
	torn := 0
	for seed := uint64(1); seed <= 150; seed++ {
		rng := rand.New(rand.NewPCG(seed, 5))
		d := simdisk.New(seed, simdisk.Options{BlockBytes: 4096, StaleBytes: seed%3 == 0})
		o := smallOptions(t, d)
		o.Fatal = func(error) {}
		if l, _, err := Open(o); err == nil {
			d.CrashAfter(1 + rng.Uint64N(100))
			appendUntilItFails(l, rng)
			_ = l.Close()
		}
		d = d.Crash()
		r, all := inspect(t, d)
		o.Disk = d
		l, recovery, err := Open(o)
		if err != nil {
			t.Fatalf("seed %d: open: %v", seed, err)
		}
		if r.Corrupt+r.Newer > 0 || (r.Torn > 0) != (recovery.TornBytes > 0) || r.Last != recovery.End || r.End != recovery.Position {
			t.Errorf("seed %d: open found %+v, inspect %+v, %v", seed, recovery, r, all)
		}
		torn += r.Torn
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if r, all := inspect(t, d); len(all) > 0 {
			t.Errorf("seed %d: after recovery: %+v, %v", seed, r, all)
		}
	}
	if torn < 10 {
		t.Errorf("only %d of the logs were torn", torn)
	}
}

func appendUntilItFails(l *Log, rng *rand.Rand) {
	for n := range 200 {
		ticket, err := l.Append(Batch{Kind: FrameEvents, Term: 1, Events: 1, Timestamp: 2000, Data: encoded(l.Seed(), n, rng.IntN(9000))})
		if err == nil && rng.IntN(3) == 0 {
			err = l.Wait(ticket, Durable)
		}
		if err != nil {
			return
		}
	}
}

func TestALogThatIsBeingWrittenShowsNoFalseDamage(t *testing.T) {
	t.Parallel()
	for _, policy := range []FlushPolicy{FlushAtOnce, FlushOnRequest} {
		t.Run(fmt.Sprint("policy ", policy), func(t *testing.T) {
			t.Parallel()
			d := openPosix(t)
			o := smallOptions(t, d)
			o.SegmentBytes, o.TailBytes, o.Policy = 4<<20, 2<<20, policy
			l, _ := mustOpen(t, o)
			var stop atomic.Bool
			var writing sync.WaitGroup
			writing.Go(func() {
				for n := 0; !stop.Load(); n++ {
					ticket := mustAppend(t, l, encoded(l.Seed(), n, n*7919%20000))
					if n%64 == 0 {
						l.Flush()
						l.Tick()
						if err := l.Wait(ticket, Durable); err != nil {
							t.Error(err)
						}
						if err := l.Trim(l.lastSegment().start.index); err != nil {
							t.Error(err)
						}
					}
				}
			})
			live := inspectLive(t, l, d)
			stop.Store(true)
			writing.Wait()
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if live == 0 {
				t.Error("the log never moved during an inspection: nothing was tested")
			}
			if _, all := inspect(t, d); len(all) > 0 {
				t.Errorf("after Close: %v", all)
			}
		})
	}
}

// inspectLive inspects a log again and again while it is written, until it has
// moved during one, and returns how often it had.
func inspectLive(t *testing.T, l *Log, d disk.Disk) (live int) {
	for look := 0; look < 40 || live == 0 && look < 4000; look++ {
		r, err := Inspect(Inspection{
			Folder:  d,
			Finding: func(f Finding) { t.Errorf("false finding: %v", f) },
			Again: func(looks int) bool {
				end, _, _ := l.End()
				l.Flush()
				return looks < 20 && l.Wait(Ticket{Index: end}, Durable) == nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		if r.Live {
			live++
		}
	}
	return live
}

func TestAnErrorOfACallbackEndsTheInspection(t *testing.T) {
	t.Parallel()
	f, _ := threeSegments(t)
	enough := errors.New("enough")
	for _, o := range []Inspection{
		{Folder: f, Frame: func(Frame) error { return enough }},
		{Folder: f, Event: func(Frame, Event) error { return enough }},
	} {
		if _, err := Inspect(o); err != enough {
			t.Errorf("error %v", err)
		}
	}
}

func FuzzInspectFindsDamageAndNeverPanics(f *testing.F) {
	whole, _ := threeSegments(f)
	names := segmentsOf(whole)
	f.Add(0, []byte{1}, uint8(0))
	f.Add(4096+8, []byte{0xff, 0xff, 0xff, 0xff}, uint8(1))
	f.Add(60000, bytes.Repeat([]byte{0x41, 0x50, 0x47, 0x46}, 30), uint8(2))
	f.Fuzz(func(t *testing.T, at int, damage []byte, number uint8) {
		name := names[int(number)%len(names)]
		bad := bytes.Clone(whole[name])
		if at < 0 || at >= len(bad) {
			t.Skip()
		}
		copy(bad[at:], damage)
		r, all := inspect(t, whole.but(name, bad))
		if changed := !bytes.Equal(bad, whole[name]); changed != (len(all) > 0) || r.Torn+r.Corrupt+r.Newer != len(all) {
			t.Errorf("%s at %d: changed %v, report %+v, findings %v", name, at, changed, r, all)
		}
	})
}
