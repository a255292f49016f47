package engine

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
)

// readCounter is a disk that counts the bytes read from segments.
type readCounter struct {
	disk.Disk
	bytes atomic.Int64
}

type countedFile struct {
	disk.File
	counter *readCounter
}

// Open implements disk.Disk.
func (d *readCounter) Open(name string, mode disk.Mode) (disk.File, error) {
	f, err := d.Disk.Open(name, mode)
	if err != nil || !strings.HasSuffix(name, ".seg") && name != "spare.tmp" {
		return f, err
	}
	return countedFile{f, d}, nil
}

func (f countedFile) ReadAt(b []byte, at int64) (int, error) {
	n, err := f.File.ReadAt(b, at)
	f.counter.bytes.Add(int64(n))
	return n, err
}

// countedQueue gives the disk's queue the disk's files.
type countedQueue struct{ disk.Queue }

// OpenQueue implements disk.Disk.
func (d *readCounter) OpenQueue(depth int, arena []byte) (disk.Queue, error) {
	q, err := d.Disk.OpenQueue(depth, arena)
	return countedQueue{q}, err
}

func (q countedQueue) Write(f disk.File, b []byte, at int64, tag uint64) {
	q.Queue.Write(f.(countedFile).File, b, at, tag)
}

func (q countedQueue) SyncData(f disk.File, tag uint64) { q.Queue.SyncData(f.(countedFile).File, tag) }

// A start reads the header of each sealed segment and, of the last one and the
// end of the one before, what has to be checked and replayed: it takes as long
// with a log of many segments as with one of few.
func TestAStartAfterAKillDoesNotScanSealedSegments(t *testing.T) {
	t.Parallel()
	var read [2]int64
	for i, frames := range []int{600, 2400} {
		d := simdisk.New(51, simdisk.Options{})
		e, w := mustOpen(t, testOptions(d, 51)), newWorkload(51)
		for range frames / 300 { // the index keeps up
			if _, err := w.run(e, 300); err != nil {
				t.Fatal(err)
			}
			settle(t, e)
		}
		killed := &readCounter{Disk: d.Clone().Kill()}
		mustClose(t, e)
		e = mustOpen(t, testOptions(killed, 51))
		read[i] = killed.bytes.Load()
		segments := int64(len(e.log.SegmentEnds()))
		if most := 4096*segments + 4*e.opts.Log.SegmentBytes; read[i] > most {
			t.Errorf("a start with %d sealed segments read %d bytes of the log, expected at most %d", segments, read[i], most)
		}
		w.check(t, e)
		mustClose(t, e)
	}
	t.Logf("%d bytes read with few segments, %d with four times as many", read[0], read[1])
}
