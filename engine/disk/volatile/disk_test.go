package volatile_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/disk/disktest"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
	"github.com/apogeemq/apogee/engine/disk/volatile"
)

func wrap(t *testing.T, inner disk.Disk, seed uint64) *volatile.Disk {
	t.Helper()
	d, err := volatile.New(inner, seed)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestAVolatileDiskConforms(t *testing.T) {
	t.Parallel()
	disktest.Run(t, func(t *testing.T) disk.Disk {
		posix, err := disk.OpenPosix(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		return wrap(t, posix, 1)
	})
}

func open(t *testing.T, d disk.Disk, mode disk.Mode) disk.File {
	t.Helper()
	f, err := d.Open("file", mode)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func whole(t *testing.T, f disk.File) []byte {
	t.Helper()
	size, err := f.Size()
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); int64(n) != size || err != nil && !errors.Is(err, io.EOF) {
		t.Fatalf("read %d of %d bytes: %v", n, size, err)
	}
	return b
}

// The disk below is what another process finds after this one was killed.
func TestWhatWasNotSyncedIsMissingBelowAndWhatWasIsThere(t *testing.T) {
	t.Parallel()
	below := simdisk.New(1, simdisk.Options{})
	d := wrap(t, below, 1)
	f := open(t, d, disk.Create)
	synced := bytes.Repeat([]byte("synced "), 3000)
	if _, err := f.WriteAt(synced, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.SyncData(); err != nil {
		t.Fatal(err)
	}
	const writes, each = 200, 4096
	for i := range int64(writes) {
		if _, err := f.WriteAt(bytes.Repeat([]byte{byte(i + 1)}, each), int64(len(synced))+i*each); err != nil {
			t.Fatal(err)
		}
	}
	found := whole(t, open(t, below, disk.Read))
	if !bytes.HasPrefix(found, synced) {
		t.Error("synced bytes are missing")
	}
	missing := writes*each - len(bytes.ReplaceAll(found[len(synced):], []byte{0}, nil))
	if missing < writes*each/2 || missing > writes*each*99/100 {
		t.Errorf("%d of %d bytes that were not synced are missing; want most, and not all", missing, writes*each)
	}
	if mine := whole(t, open(t, d, disk.Read)); len(mine) != len(synced)+writes*each || mine[len(mine)-1] != writes {
		t.Error("the process itself doesn't see what it has written")
	}
}

// Random changes, with a file in memory as the model.
func TestTheProcessSeesWhatItHasDone(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 1))
		d := wrap(t, simdisk.New(seed, simdisk.Options{}), seed)
		f := open(t, d, disk.Create)
		var model []byte
		for step := range 200 {
			at, length := random.IntN(50_000), 1+random.IntN(10_000)
			var err error
			switch random.IntN(8) {
			case 0:
				err = f.SyncData()
			case 1:
				err = f.Truncate(int64(at))
				model = append(model, make([]byte, max(0, at-len(model)))...)[:at]
			default:
				p := bytes.Repeat([]byte{byte(step + 1)}, length)
				_, err = f.WriteAt(p, int64(at))
				model = append(model, make([]byte, max(0, at+length-len(model)))...)
				copy(model[at:], p)
			}
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(whole(t, f), model) {
				t.Fatalf("seed %d: after step %d the file holds other bytes", seed, step)
			}
		}
		if err := f.Sync(); err != nil || !bytes.Equal(whole(t, f), model) {
			t.Errorf("seed %d: after a sync the file holds other bytes, %v", seed, err)
		}
	}
}
