package commitlog

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/disk/faultdisk"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
	"github.com/apogeemq/apogee/engine/event"
)

// refused checks that an error is of a class and says something.
func refused(t *testing.T, what string, err, class error, says string) {
	t.Helper()
	if !errors.Is(err, class) || !strings.Contains(err.Error(), says) {
		t.Errorf("%s: %v; want %v that says %q", what, err, class, says)
	}
}

func TestTheFolderOfAnotherNodeIsRefused(t *testing.T) {
	t.Parallel()
	o := testOptions(t, openPosix(t))
	o.Create.Meta.Node, o.Node = [16]byte{5}, [16]byte{5}
	l, _ := mustOpen(t, o)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	o.Node = [16]byte{6}
	_, _, err := Open(o)
	refused(t, "another node", err, ErrOtherNode, "belongs to node 05000000000000000000000000000000, this is node 06")
	o.Node = [16]byte{}
	l, _ = mustOpen(t, o)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAFileOfAnotherLogIsNamedWithBothLogs(t *testing.T) {
	t.Parallel()
	dir, _, _ := written(t, 3)
	d := openPosix(t)
	o := testOptions(t, d)
	o.Create.Meta.Log = event.LogID{9}
	l, _ := mustOpen(t, o)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(d.Path(), segmentName(0)))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, segmentName(0)), b, 0o644); err != nil {
		t.Fatal(err)
	}
	_, _, err = reopen(t, dir)
	refused(t, "a segment of another log", err, ErrCorrupt, "this file is of log 09000000000000000000000000000000, the folder of log 010203")
}

// newer makes a record one version newer, with bytes more than this version
// has, and a checksum that agrees.
func newer(b []byte, seed event.Seed) []byte {
	le := binary.LittleEndian
	n := int(le.Uint32(b[8:])) + 24
	b = append(b[:blockHeaderBytes+n-24:blockHeaderBytes+n-24], make([]byte, max(24, len(b)-blockHeaderBytes-n+24))...)
	le.PutUint16(b[4:], blockVersion+1)
	le.PutUint32(b[8:], uint32(n))
	le.PutUint32(b[12:], blockSum(b, n, seed))
	return b
}

func TestFilesOfANewerVersionAreRefusedAndLeftAlone(t *testing.T) {
	t.Parallel()
	id := event.LogID{1, 2, 3}
	for _, name := range []string{metaName, markName, segmentName(0), cutName, resetName, runningName, lostName} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, _, _ := written(t, 3)
			seed := id.Seed()
			switch name {
			case metaName:
				seed = 0
			case cutName, resetName, runningName, lostName:
				d, err := disk.Open(dir)
				if err != nil {
					t.Fatal(err)
				}
				err = map[string]func() error{
					cutName:     func() error { return writeCut(d, seed, 2) },
					resetName:   func() error { return writeReset(d, seed, Base{}) },
					runningName: func() error { return writeRunning(d, seed, [16]byte{1}) },
					lostName:    func() error { return writeLoss(d, seed, Loss{}) },
				}[name]()
				if err != nil {
					t.Fatal(err)
				}
			}
			path := filepath.Join(dir, name)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b = newer(b, seed)
			if err := os.WriteFile(path, b, 0o644); err != nil {
				t.Fatal(err)
			}
			_, _, err = reopen(t, dir)
			refused(t, name, err, ErrNewerFormat, name+": newer log format: record version 2, this program reads 1; start a newer version")
			if after, err := os.ReadFile(path); err != nil || string(after) != string(b) {
				t.Errorf("%s was changed, %v", name, err)
			}
		})
	}
}

func TestAFrameOfANewerVersionOrKindIsRefused(t *testing.T) {
	t.Parallel()
	for says, change := range map[string]func(h []byte){
		"frame version 2, this program reads 1; start a newer version": func(h []byte) { h[4] = 2 },
		"frame kind 77 is unknown here; start a newer version":         func(h []byte) { h[6] = 77 },
	} {
		dir, _, offsets := written(t, 3)
		path := filepath.Join(dir, segmentName(0))
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		h := b[offsets[1] : offsets[1]+headerBytes]
		change(h)
		binary.LittleEndian.PutUint32(h[56:], event.Checksum(event.LogID{1, 2, 3}.Seed(), h[:56]))
		patch(t, path, offsets[1], h)
		_, _, err = reopen(t, dir)
		refused(t, "newer frame", err, ErrNewerFormat, says)
	}
}

func TestAnotherSegmentSizeCountsForNewSegments(t *testing.T) {
	t.Parallel()
	o := testOptions(t, openPosix(t))
	var data [][]byte
	for _, bytes := range []int64{256 << 10, 512 << 10, 128 << 10} {
		o.SegmentBytes, o.TailBytes = bytes, 0
		l, _ := mustOpen(t, o)
		data = append(data, appendMany(t, l, len(data), 700, 1000)...)
		compare(t, frames(t, l)[1:], data)
		if last := l.lastSegment().bytes; last != bytes {
			t.Errorf("the last segment has %d bytes, want %d", last, bytes)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	l, _ := mustOpen(t, o)
	if ends := l.SegmentEnds(); l.Trim(ends[len(ends)-1]) != nil || len(l.SegmentEnds()) != 0 {
		t.Error("segments of other sizes are not trimmed")
	}
	data = append(data, appendMany(t, l, len(data), 300, 1000)...)
	first, _ := l.First()
	compare(t, frames(t, l), data[first-2:])
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestSizesThatDontGoTogetherAreRefusedWithWhatIsNeeded(t *testing.T) {
	t.Parallel()
	d := simdisk.New(1, simdisk.Options{})
	const event4M, event8M = 4 << 20, 8 << 20
	for _, c := range []struct {
		segment     int64
		tail, event int
		says        string
	}{
		{16 << 20, 0, event4M, "segments of 16777216 bytes are too small for events of 4194304; use at least 21364736"},
		{SegmentBytesMin(event4M) - 4096, 0, event4M, "too small for events of 4194304"},
		{1 << 30, 16 << 20, event4M, "a tail of 16777216 bytes is too small for events of 4194304; use at least 17039360"},
		{1 << 20, 1 << 20, 0, "a tail of 1048576 bytes is not allowed with segments of 1048576; it must be shorter"},
		{1 << 20, 2 << 20, 0, "use at most 786432"},
		{1 << 20, 8192, 0, "use a multiple of 4096 from 32768"},
		{1 << 30, 0, 40 << 20, "events of 41943040 bytes are not allowed; use at most 33554432"},
	} {
		o := testOptions(t, d)
		o.SegmentBytes, o.TailBytes, o.EventBytesMax = c.segment, c.tail, c.event
		if _, _, err := Open(o); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("segment %d, tail %d, event %d: %v; want %q", c.segment, c.tail, c.event, err, c.says)
		}
	}
	o := testOptions(t, simdisk.New(2, simdisk.Options{}))
	o.SegmentBytes, o.EventBytesMax = SegmentBytesMin(event8M), event8M
	l, _ := mustOpen(t, o)
	for n := range 6 {
		b := encoded(l.Seed(), n, event8M)
		if err := l.Wait(mustAppend(t, l, b[:event8M]), Durable); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

// faulty is a log's options on a disk that breaks by rules.
func faulty(t *testing.T, text string) (Options, *faultdisk.Disk) {
	t.Helper()
	rules, err := faultdisk.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	d := faultdisk.New(simdisk.New(1, simdisk.Options{}), rules, faultdisk.SystemClock{})
	o := testOptions(t, d)
	o.SegmentBytes, o.TailBytes = 128<<10, 0
	return o, d
}

func TestDirectIORefusedAtTheFirstWriteIsSaidSo(t *testing.T) {
	t.Parallel()
	o, d := faulty(t, "write:*:*=EINVAL")
	_, _, err := Open(o)
	refused(t, "create", err, disk.ErrDirectRefused, "write header of segment 00000000000000000000.seg: ")
	d.Set(nil)
	l, r := mustOpen(t, o)
	if !r.Created {
		t.Error("the attempt that failed left a log")
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAFileSystemThatTurnsReadOnlyStopsTheProcessAndSaysSo(t *testing.T) {
	t.Parallel()
	o, d := faulty(t, "")
	fatal := make(chan error, 1)
	o.Fatal = func(err error) { fatal <- err }
	l, _ := mustOpen(t, o)
	data := appendMany(t, l, 0, 20, 1000)
	end, _, _ := l.End()
	if err := l.Wait(Ticket{Index: end}, Durable); err != nil {
		t.Fatal(err)
	}
	rules, err := faultdisk.Parse("write|open|rename|remove:*:*=EROFS")
	if err != nil {
		t.Fatal(err)
	}
	d.Set(rules)
	refused(t, "wait", l.Wait(mustAppend(t, l, encoded(l.Seed(), 20, 1000)), Durable), ErrFailed, "file system is read-only")
	refused(t, "fatal", <-fatal, disk.ErrReadOnly, "restart to recover")
	compare(t, frames(t, l)[1:21], data)
	_ = l.Close()
	_, _, err = Open(o)
	refused(t, "open", err, disk.ErrReadOnly, "")
	d.Set(nil)
	l, _ = mustOpen(t, o)
	compare(t, frames(t, l)[1:], data)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAQuotaThatIsUsedUpIsAFullDisk(t *testing.T) {
	t.Parallel()
	o, d := faulty(t, "allocate:spare.tmp:3..=EDQUOT")
	l, _ := mustOpen(t, o)
	var data [][]byte
	var err error
	for n := 0; err == nil && n < 1000; n++ {
		b := encoded(l.Seed(), n, 1000)
		if _, err = l.Append(Batch{Kind: FrameEvents, Term: 1, Events: 1, Timestamp: 2000, Data: b}); err == nil {
			data = append(data, b)
		}
	}
	refused(t, "append", err, ErrDiskFull, "free space or shorten the retention")
	compare(t, frames(t, l)[1:], data)
	d.Set(nil)
	l.Tick()
	data = append(data, appendMany(t, l, 2000, 300, 1000)...)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l, _ = mustOpen(t, o)
	compare(t, frames(t, l)[1:], data)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestALogOnAFullDiskIsOpenedAndRead(t *testing.T) {
	t.Parallel()
	o, d := faulty(t, "")
	l, _ := mustOpen(t, o)
	data := appendMany(t, l, 0, 300, 1000)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	rules, err := faultdisk.Parse("allocate:*:*=ENOSPC; open:*.tmp:*=ENOSPC")
	if err != nil {
		t.Fatal(err)
	}
	d.Set(rules)
	l, _ = mustOpen(t, o)
	compare(t, frames(t, l)[1:], data)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
