package indexfile_test

import (
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/indexfile"
)

const seed = event.Seed(0x5eed)

func newShelf(d disk.Disk, onDamage func(*indexfile.File)) *indexfile.Shelf {
	return indexfile.NewShelf(d, "index", seed, 1, onDamage)
}

func noDamage(t *testing.T) func(*indexfile.File) {
	return func(f *indexfile.File) { t.Errorf("%s is said to be damaged", f.Name()) }
}

// content is a file as slices.
type content struct {
	span    indexfile.Span
	queues  []event.Queue
	next    []event.Offset
	slots   [][]indexfile.Slot
	samples []indexfile.Sample
	keys    []indexfile.Key
}

// draw makes a file's content: queues, some of them without entries, and keys,
// some of them on many events.
func draw(rng *rand.Rand, queues, events int) content {
	c := content{span: indexfile.Span{Segment: 1000, First: 7, Last: 7 + event.Index(events), Base: 1000,
		End: event.Position(1000 + 100*events), FirstTime: 50, LastTime: 50 + int64(events), Chain: 99}}
	for i := range queues {
		c.queues = append(c.queues, event.Queue{Topic: event.TopicID(i / 3 * 2), ID: uint32(i % 3)})
		c.next = append(c.next, event.Offset(rng.IntN(1000)))
	}
	c.slots = make([][]indexfile.Slot, queues)
	for i := range events {
		q := rng.IntN(queues)
		if q%5 != 4 {
			c.slots[q] = append(c.slots[q], indexfile.Slot{FrameOffset: uint32(i), Bytes: 100, Tag: int32(-i), Position: uint32(100 * i)})
			c.next[q]++
		}
		hash := rng.Uint64()
		if i%3 == 0 {
			hash = uint64(i % 4)
		}
		c.keys = append(c.keys, indexfile.Key{Hash: hash, Position: uint32(100 * i)})
		if i%50 == 0 {
			c.samples = append(c.samples, indexfile.Sample{Timestamp: 50 + int64(i), Position: uint32(100 * i), FrameOffset: uint32(i)})
		}
	}
	slices.SortFunc(c.keys, func(a, b indexfile.Key) int {
		if a.Hash != b.Hash {
			if a.Hash < b.Hash {
				return -1
			}
			return 1
		}
		return int(a.Position) - int(b.Position)
	})
	return c
}

func write(t testing.TB, h *indexfile.Shelf, c content) *indexfile.File {
	t.Helper()
	b, err := h.Create(c.span, len(c.keys))
	if err != nil {
		t.Fatal(err)
	}
	for i, q := range c.queues {
		b.Queue(q, c.next[i], 5)
		b.Slots(c.slots[i]...)
	}
	for _, s := range c.samples {
		b.Sample(s)
	}
	for _, k := range c.keys {
		b.Key(k)
	}
	f, err := b.Finish()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestEverythingThatWasWrittenIsFound(t *testing.T) {
	t.Parallel()
	for _, size := range [][2]int{{1, 1}, {10, 500}, {2000, 9000}, {3, 6000}} {
		rng := rand.New(rand.NewPCG(1, uint64(size[1])))
		c := draw(rng, size[0], size[1])
		h := newShelf(simdisk.New(1, simdisk.Options{}), noDamage(t))
		write(t, h, c)
		f, err := h.Open(c.span.Name())
		if err != nil || f.Span != c.span || f.Rows() != len(c.queues) || f.Keys() != len(c.keys) {
			t.Fatalf("%+v, %v", f, err)
		}
		checkQueues(t, f, c)
		checkKeys(t, f, c, rng)
		checkTimes(t, f, c)
		if err := h.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func checkQueues(t *testing.T, f *indexfile.File, c content) {
	t.Helper()
	n := 0
	for row, err := range f.Table() {
		if err != nil || row.Queue != c.queues[n] || row.Next != c.next[n] || int(row.Count) != len(c.slots[n]) || row.Born != 5 {
			t.Fatalf("row %d is %+v, %v", n, row, err)
		}
		n++
	}
	dst := make([]indexfile.Slot, 50)
	for i, q := range c.queues {
		row, ok, err := f.Row(q)
		if err != nil || !ok || row.Queue != q || row.Next != c.next[i] {
			t.Fatalf("queue %v: %+v, %v, %v", q, row, ok, err)
		}
		for at := 0; at < len(c.slots[i]); {
			n, err := f.Slots(row, uint32(at), dst)
			if err != nil || n == 0 || !slices.Equal(dst[:n], c.slots[i][at:at+n]) {
				t.Fatalf("queue %v from %d: %v, %v", q, at, dst[:n], err)
			}
			found, err := f.SlotAt(row, 1000+event.Position(c.slots[i][at].Position))
			if err != nil || int(found) != at {
				t.Fatalf("queue %v: entry %d is found as %d, %v", q, at, found, err)
			}
			at += n
		}
		if _, ok, err := f.Row(event.Queue{Topic: q.Topic + 1, ID: q.ID}); ok || err != nil {
			t.Fatalf("a queue that isn't there: %v, %v", ok, err)
		}
	}
	if len(c.queues) > 3 {
		of := 0
		for row, err := range f.RowsOf(2) {
			if err != nil || row.Queue != (event.Queue{Topic: 2, ID: uint32(of)}) {
				t.Fatalf("row %d of topic 2: %+v, %v", of, row, err)
			}
			of++
		}
		if of != 3 {
			t.Fatalf("topic 2 has %d queues", of)
		}
	}
}

func checkKeys(t *testing.T, f *indexfile.File, c content, rng *rand.Rand) {
	t.Helper()
	byHash := make(map[uint64][]event.Position)
	for _, k := range c.keys {
		byHash[k.Hash] = append(byHash[k.Hash], 1000+event.Position(k.Position))
	}
	for hash, all := range byHash {
		if may, err := f.MayHold(hash); !may || err != nil {
			t.Fatalf("hash %x: the filter says %v, %v", hash, may, err)
		}
		before := event.Position(1000 + rng.IntN(int(f.End)))
		want := slices.Clone(all)
		slices.Reverse(want)
		want = slices.DeleteFunc(want, func(p event.Position) bool { return p >= before })
		w, err := f.KeysBefore(hash, before)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range want {
			if got, ok, err := w.Next(); got != p || !ok || err != nil {
				t.Fatalf("hash %x before %d: %d, %v, %v; expected %d", hash, before, got, ok, err, p)
			}
		}
		if p, ok, err := w.Next(); ok || err != nil {
			t.Fatalf("hash %x before %d: another at %d, %v", hash, before, p, err)
		}
	}
	passed := 0
	for range 2000 {
		hash := rng.Uint64()
		if may, err := f.MayHold(hash); err != nil {
			t.Fatal(err)
		} else if may {
			passed++
		}
		if w, err := f.KeysBefore(hash, f.End); err != nil {
			t.Fatal(err)
		} else if p, ok, err := w.Next(); ok && byHash[hash] == nil || err != nil {
			t.Fatalf("absent hash %x found at %d, %v", hash, p, err)
		}
	}
	if passed > 60 {
		t.Fatalf("the filter lets %d of 2000 absent hashes pass", passed)
	}
}

func checkTimes(t *testing.T, f *indexfile.File, c content) {
	t.Helper()
	for ms := c.span.FirstTime - 1; ms <= c.span.LastTime+1; ms++ {
		from, to, err := f.Around(ms)
		// Event i, at position 1000+100·i, has time 50+i.
		first := event.Position(1000 + 100*max(0, ms-50))
		if err != nil || from > first || to < min(first, f.End) || from > to {
			t.Fatalf("%d ms: %d to %d, %v; the first event of that time is at %d", ms, from, to, err, first)
		}
	}
}

func TestAMergedFileHoldsWhatItsPartsHoldOfQueuesThatLive(t *testing.T) {
	t.Parallel()
	h := newShelf(simdisk.New(1, simdisk.Options{}), noDamage(t))
	span := indexfile.Span{Segment: 100, Base: 100, FirstTime: 1, LastTime: 9}
	type row struct {
		id    uint32
		next  event.Offset
		born  event.Position
		slots []uint32 // positions
	}
	var parts []*indexfile.File
	for i, rows := range [][]row{
		{{1, 2, 100, []uint32{1, 2}}, {2, 9, 50, []uint32{3}}, {3, 1, 101, []uint32{4}}},
		{{1, 4, 100, []uint32{11, 12}}, {2, 9, 50, nil}, {3, 2, 113, []uint32{13, 14}}, {4, 1, 115, []uint32{15}}},
		{{1, 4, 100, nil}, {2, 10, 50, []uint32{21}}, {3, 3, 113, []uint32{22}}},
	} {
		span.First, span.Last = event.Index(10*i+1), event.Index(10*i+10)
		span.Base, span.End = event.Position(100+10*i), event.Position(110+10*i)
		b, err := h.Create(span, 2)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			b.Queue(event.Queue{Topic: 1, ID: r.id}, r.next, r.born)
			for _, p := range r.slots {
				b.Slots(indexfile.Slot{Position: p})
			}
		}
		b.Sample(indexfile.Sample{Timestamp: int64(i), Position: uint32(10 * i)})
		b.Key(indexfile.Key{Hash: 5, Position: uint32(10*i + 1)})
		b.Key(indexfile.Key{Hash: uint64(10 - i), Position: uint32(10*i + 2)})
		f, err := b.Finish()
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, f)
	}
	m, err := h.Merge(parts)
	if err != nil || m.First != 1 || m.Last != 30 || m.Base != 100 || m.End != 130 {
		t.Fatalf("%+v, %v", m, err)
	}
	got := ""
	for r, err := range m.Table() {
		var dst [10]indexfile.Slot
		n, errSlots := m.Slots(r, 0, dst[:])
		if err := errors.Join(err, errSlots); err != nil {
			t.Fatal(err)
		}
		got += fmt.Sprint(r.Queue.ID, r.Next, r.Born, ":")
		for _, s := range dst[:n] {
			got += fmt.Sprint(" ", s.Position)
		}
		got += "; "
	}
	// The first life of queue 3 is gone, and queue 4 is.
	if want := "1 4 100: 1 2 11 12; 2 10 50: 3 21; 3 3 113: 13 14 22; "; got != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
	w, err := m.KeysBefore(5, m.End)
	for _, want := range []event.Position{121, 111, 101} {
		p, ok, errNext := w.Next()
		if err := errors.Join(err, errNext); err != nil || !ok || p != want {
			t.Fatalf("key at %d, %v, %v; expected %d", p, ok, err, want)
		}
	}
}

var updateGolden = flag.Bool("update-golden", false, "write the golden file anew")

func goldenContent() content { return draw(rand.New(rand.NewPCG(3, 3)), 7, 120) }

func TestTheFileIsThatOfVersion1(t *testing.T) {
	t.Parallel()
	d := simdisk.New(1, simdisk.Options{})
	c := goldenContent()
	write(t, newShelf(d, noDamage(t)), c)
	got, err := disk.ReadWhole(d, "index/"+c.span.Name(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join("testdata", "golden-v1.crc")
	sum := fmt.Sprintf("%08x %d bytes\n", event.Checksum(0, got), len(got))
	if *updateGolden {
		if err := os.WriteFile(name, []byte(sum), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil || string(want) != sum {
		t.Fatalf("the file of version 1 has changed: %s, expected %s, %v", sum, want, err)
	}
}

// readAll reads a file by all ways; only errors count.
func readAll(f *indexfile.File) error {
	var errs []error
	var dst [16]indexfile.Slot
	for row, err := range f.Table() {
		errs = append(errs, err)
		if err != nil {
			break
		}
		for _, i := range []uint32{0, row.Count / 2, row.Count} {
			_, err := f.Slots(row, i, dst[:])
			errs = append(errs, err)
		}
		_, _, err := f.Row(row.Queue)
		errs = append(errs, err)
		_, err = f.SlotAt(row, f.Base+5000)
		errs = append(errs, err)
	}
	for hash := range uint64(10) {
		_, err := f.MayHold(hash)
		errs = append(errs, err)
		w, err := f.KeysBefore(hash, f.End)
		for ok := err == nil; ok; {
			_, ok, err = w.Next()
		}
		errs = append(errs, err)
	}
	_, _, err := f.Around(80)
	return errors.Join(append(errs, err)...)
}

func TestEveryFlippedBitIsFoundBeforeItsBlockIsUsed(t *testing.T) {
	t.Parallel()
	c := goldenContent()
	d := simdisk.New(1, simdisk.Options{})
	write(t, newShelf(d, noDamage(t)), c)
	whole, err := disk.ReadWhole(d, "index/"+c.span.Name(), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(whole); at += 1021 {
		bad := slices.Clone(whole)
		bad[at] ^= 1 << (at % 8)
		if err := openAndRead(bad, c.span); !errors.Is(err, indexfile.ErrDamaged) {
			t.Fatalf("byte %d flipped: %v", at, err)
		}
	}
	other := c.span
	other.Last++
	if err := openAndRead(whole, other); !errors.Is(err, indexfile.ErrDamaged) {
		t.Fatalf("under another name: %v", err)
	}
}

func openAndRead(b []byte, span indexfile.Span) error {
	d := simdisk.New(1, simdisk.Options{})
	if err := d.MakeDir("index"); err != nil {
		return err
	}
	if err := disk.WriteWhole(d, "index/"+span.Name(), b); err != nil {
		return err
	}
	told := 0
	h := newShelf(d, func(*indexfile.File) { told++ })
	f, err := h.Open(span.Name())
	if err != nil {
		return err
	}
	if err = readAll(f); errors.Is(err, indexfile.ErrDamaged) && told != 1 {
		return fmt.Errorf("the owner was told %d times", told)
	}
	return err
}

// FuzzOpen changes numbers of a good file and makes the checksums good again,
// so that what is behind them is reached. Small inputs keep the search fast.
func FuzzOpen(f *testing.F) {
	c := goldenContent()
	d := simdisk.New(1, simdisk.Options{})
	write(f, newShelf(d, func(*indexfile.File) {}), c)
	whole, err := disk.ReadWhole(d, "index/"+c.span.Name(), 1<<20)
	if err != nil {
		f.Fatal(err)
	}
	foot := uint32(len(whole)) - 16384
	f.Add(uint32(0), uint32(1), uint32(0), uint32(1), uint8(255))
	for _, at := range []uint32{0, 8, 40, 48, 56, 72, 76, 80, 84, 88} {
		f.Add(foot+at, uint32(0xffffffff), foot+at, uint32(0xffffffff), uint8(255))
		f.Add(foot+at, uint32(1), foot+84, uint32(0), uint8(at))
	}
	f.Add(uint32(16384+24), uint32(0xfffffff0), uint32(16384+28), uint32(0xfffffff0), uint8(255)) // a row's entries
	f.Fuzz(func(_ *testing.T, at, value, otherAt, otherValue uint32, blocks uint8) {
		b := slices.Clone(whole[:min(len(whole), int(blocks)*16384)])
		if len(b) > 0 {
			binary.LittleEndian.PutUint32(b[int(at)%(len(b)-3):], value)
			binary.LittleEndian.PutUint32(b[int(otherAt)%(len(b)-3):], otherValue)
		}
		indexfile.SealForTest(b, seed, c.span)
		_ = openAndRead(b, c.span) // any error; no panic, no endless loop
	})
}

func TestNamesAreParsedStrictly(t *testing.T) {
	t.Parallel()
	span := indexfile.Span{Segment: 1 << 40, First: 3, Last: 9}
	if got, ok := indexfile.ParseName(span.Name()); !ok || got != span {
		t.Fatalf("%+v, %v", got, ok)
	}
	for _, name := range []string{"", "1-2-3.idx", span.Name() + ".tmp", "x" + span.Name(), span.Name()[1:],
		"00000000000000000000-00000000000000000000-00000000000000000000.idx",
		"00000000000000000000-00000000000000000009-00000000000000000003.idx",
		"+0000000000000000000-00000000000000000001-00000000000000000003.idx"} {
		if got, ok := indexfile.ParseName(name); ok {
			t.Errorf("%q is read as %+v", name, got)
		}
	}
	if !indexfile.IsTemporary(span.Name()+".tmp") || indexfile.IsTemporary(span.Name()) || indexfile.IsTemporary("x.tmp") {
		t.Error("temporary names")
	}
}

// countingDisk counts the handles that are open.
type countingDisk struct {
	disk.Disk
	mu         sync.Mutex
	open, most int
}

type countedFile struct {
	disk.File
	d *countingDisk
}

func (d *countingDisk) Open(name string, mode disk.Mode) (disk.File, error) {
	f, err := d.Disk.Open(name, mode)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.open++
	d.most = max(d.most, d.open)
	d.mu.Unlock()
	return &countedFile{File: f, d: d}, nil
}

func (f *countedFile) Close() error {
	f.d.mu.Lock()
	f.d.open--
	f.d.mu.Unlock()
	return f.File.Close()
}

func TestHandlesAreBoundedAndClosed(t *testing.T) {
	t.Parallel()
	d := &countingDisk{Disk: simdisk.New(1, simdisk.Options{})}
	h := newShelf(d, noDamage(t))
	var files []*indexfile.File
	for i := range 200 {
		c := draw(rand.New(rand.NewPCG(1, 1)), 3, 20)
		c.span.First, c.span.Last = event.Index(i+1), event.Index(i+1)
		files = append(files, write(t, h, c))
	}
	var readers sync.WaitGroup
	for r := range 4 {
		readers.Go(func() {
			for i := range files {
				if err := readAll(files[(i*7+r*50)%len(files)]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	readers.Wait()
	for _, f := range files[:100] {
		if err := h.Retire(f); err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := files[0].Around(1); !errors.Is(err, indexfile.ErrRetired) {
		t.Fatalf("a replaced file reads: %v", err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	if d.open != 0 || d.most > 64+4+1 {
		t.Fatalf("%d handles left open, %d at most", d.open, d.most)
	}
}
