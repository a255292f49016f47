package commitlog

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
	"github.com/apogeemq/apogee/engine/event"
)

// readCounter is a disk that counts the bytes read from segments.
type readCounter struct {
	disk.Disk
	bytes, reads atomic.Int64
}

type countedFile struct {
	disk.File
	counter *readCounter
}

func (d *readCounter) Open(name string, mode disk.Mode) (disk.File, error) {
	f, err := d.Disk.Open(name, mode)
	if err != nil || name == metaName || name == markName {
		return f, err
	}
	return countedFile{f, d}, nil
}

func (f countedFile) ReadAt(b []byte, at int64) (int, error) {
	n, err := f.File.ReadAt(b, at)
	f.counter.bytes.Add(int64(n))
	f.counter.reads.Add(1)
	return n, err
}

// countedQueue gives the disk's queue the disk's files.
type countedQueue struct{ disk.Queue }

func (d *readCounter) OpenQueue(depth int, arena []byte) (disk.Queue, error) {
	q, err := d.Disk.OpenQueue(depth, arena)
	return countedQueue{q}, err
}

func (q countedQueue) Write(f disk.File, b []byte, at int64, tag uint64) {
	q.Queue.Write(f.(countedFile).File, b, at, tag)
}

func (q countedQueue) SyncData(f disk.File, tag uint64) { q.Queue.SyncData(f.(countedFile).File, tag) }

// cold fills a log with frames of one event each, closes it and opens it again,
// and returns where each event stands.
func cold(t *testing.T, o Options, events, payloadBytes int) (*Log, []Place, [][]byte) {
	t.Helper()
	l, _ := mustOpen(t, o)
	var data [][]byte
	for n := range events {
		data = append(data, encoded(l.Seed(), n, payloadBytes))
		mustAppend(t, l, data[n])
	}
	var places []Place
	end, _, _ := l.End()
	err := l.CursorFrom(2).Visit(end, func(f Frame) error {
		places = append(places, Place{Segment: f.Segment, Offset: f.Offset, Position: f.Position, Bytes: len(f.Data)})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l, _ = mustOpen(t, o)
	return l, places, data
}

func TestEightQueuesSideBySideReadTheLogAboutOnce(t *testing.T) {
	t.Parallel()
	d := &readCounter{Disk: openPosix(t)}
	o := testOptions(t, d)
	o.SegmentBytes, o.HistoryBytes, o.TailBytes = 4<<20, 8<<20, 1<<20
	const events, payload, queues = 1500, 16 << 10, 8
	l, places, data := cold(t, o, events, payload)
	defer l.Close()
	d.bytes.Store(0)
	rng := rand.New(rand.NewPCG(4, 4))
	var next [queues]int // event n belongs to queue n modulo 8
	var readers [queues]*Reader
	for q := range readers {
		readers[q], next[q] = l.NewReader(), q
	}
	delivered := 0
	for turn, left := 0, events; left > 0; turn++ {
		q := turn % queues
		for range 1 + rng.IntN(8) { // a pull
			n := next[q]
			if n >= events {
				break
			}
			err := readers[q].Read(places[n], func(e Event) error {
				if !bytes.Equal(e.Bytes, data[n]) {
					t.Fatalf("event %d reads otherwise", n)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			delivered += len(data[n])
			next[q] += queues
			left--
		}
	}
	t.Logf("%.2f bytes read for one delivered", float64(d.bytes.Load())/float64(delivered))
	if read := int(d.bytes.Load()); 2*read > 3*delivered {
		t.Errorf("%d bytes were read from the disk to deliver %d: %.2f for one", read, delivered, float64(read)/float64(delivered))
	}
}

func TestAScanOfTheWholeLogLeavesWhatIsUsedAgainAndAgain(t *testing.T) {
	t.Parallel()
	d := &readCounter{Disk: openPosix(t)}
	o := testOptions(t, d)
	o.SegmentBytes, o.HistoryBytes, o.TailBytes = 4<<20, 6<<20, 1<<20
	l, places, _ := cold(t, o, 1100, 16<<10)
	defer l.Close()
	r := l.NewReader()
	read := func(n int) {
		if err := r.Read(places[n], func(Event) error { return nil }); err != nil {
			t.Fatal(err)
		}
	}
	hot := []int{30, 130, 230}
	for n := 300; n < 500; n++ { // some other reads between the uses
		if n%50 == 0 {
			for _, h := range hot {
				read(h)
			}
		}
		read(n)
	}
	for n := range places {
		read(n)
	}
	before := d.reads.Load()
	for _, h := range hot {
		read(h)
	}
	if again := d.reads.Load() - before; again > 1 { // one may be reading ahead
		t.Errorf("%d of %d were read again after a scan", again, len(hot))
	}
}

func TestAPlaceThatCantBeReadFailsThatReadAlone(t *testing.T) {
	t.Parallel()
	d := simdisk.New(1, simdisk.Options{})
	o := testOptions(t, d) // whose Fatal fails the test
	l, places, data := cold(t, o, 200, 16<<10)
	defer l.Close()
	bad := places[20]
	if err := d.FailReads(segmentName(bad.Segment), bad.Offset, bad.Offset+100); err != nil {
		t.Fatal(err)
	}
	r := l.NewReader()
	nothing := func(Event) error { return nil }
	if err := r.Read(bad, nothing); err == nil || errors.Is(err, ErrNotFound) || errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), segmentName(bad.Segment)) {
		t.Fatalf("a place with an I/O error: %v", err)
	}
	if err := r.Read(places[150], nothing); err != nil {
		t.Fatalf("another place: %v", err)
	}
	mustAppend(t, l, data[0])
	d.HealReads(segmentName(bad.Segment))
	if err := r.Read(bad, nothing); err != nil {
		t.Fatalf("after the disk could read again: %v", err)
	}
}

func TestAFlippedBitAnywhereIsNeverServed(t *testing.T) {
	t.Parallel()
	d := simdisk.New(1, simdisk.Options{})
	o := smallOptions(t, d)
	l, places, data := cold(t, o, 160, 1000)
	sealed := l.Sealed()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(7, 7))
	caught, tried := 0, 0
	for range 150 {
		// A byte of the segment's header, of a frame's, of its event or padding.
		p := places[rng.IntN(len(places))]
		if p.Position >= sealed[len(sealed)-1].End {
			continue // recovery judges the last segment
		}
		at := p.Offset + rng.Int64N(headerBytes+int64(p.Bytes)+8)
		if rng.IntN(10) == 0 {
			at = rng.Int64N(blockHeaderBytes + segmentPayloadBytes)
		}
		tried++
		bit := byte(1 << rng.IntN(8))
		flip(t, d, segmentName(p.Segment), at, bit)
		if isNoticed(t, o, places, data, p.Segment) {
			caught++
		}
		flip(t, d, segmentName(p.Segment), at, bit) // back
	}
	if caught < tried*3/4 { // the rest hit padding and this node's own marks
		t.Errorf("only %d of %d flips were noticed", caught, tried)
	}
}

func flip(t *testing.T, d disk.Disk, name string, at int64, bits byte) {
	t.Helper()
	f, err := d.Open(name, disk.ReadWrite)
	if err != nil {
		t.Fatal(err)
	}
	var b [1]byte
	if _, err := f.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= bits
	if _, err := f.WriteAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// isNoticed opens a log that is damaged in one segment and reads everything:
// what comes is what was written, or an error that names the segment.
func isNoticed(t *testing.T, o Options, places []Place, data [][]byte, damaged event.Position) (noticed bool) {
	t.Helper()
	judge := func(err error) {
		if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), segmentName(damaged)) {
			t.Fatalf("damage in segment %s: %v", segmentName(damaged), err)
		}
		noticed = true
	}
	l, _, err := Open(o)
	if err != nil {
		judge(err)
		return noticed
	}
	defer l.Close()
	r := l.NewReader()
	for n, p := range places {
		err := r.Read(p, func(e Event) error {
			if !bytes.Equal(e.Bytes, data[n]) || e.Position != p.Position || e.Timestamp != 2000 {
				t.Fatalf("event %d at %d was served as %.60q", n, e.Timestamp, e.Bytes)
			}
			return nil
		})
		if err != nil {
			judge(err)
		}
	}
	return noticed
}
