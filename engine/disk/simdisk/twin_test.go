package simdisk_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
)

// twin is a slow and obvious model of one file: its bytes, everything that a
// sector may hold after a power cut, and every size that may be found.
type twin struct {
	bytes    []byte
	versions map[int][][]byte // by sector; the last synced one first
	sizes    map[int]bool
	dataEnd  int  // of the last byte written
	kept     int  // bytes below this must be found
	shrunk   bool // since the last Sync
}

const twinSectors = 40

func newTwin() *twin {
	w := &twin{}
	w.synced()
	return w
}

func (w *twin) sector(number int) []byte {
	held := make([]byte, sector)
	if number*sector < len(w.bytes) {
		copy(held, w.bytes[number*sector:])
	}
	return held
}

// synced forgets everything but the present.
func (w *twin) synced() {
	w.versions, w.sizes = map[int][][]byte{}, map[int]bool{}
	w.kept, w.shrunk = len(w.bytes), false
	w.changed()
}

// syncedData forgets old data but no size. With a shrinking that may be undone
// there is nothing simple to say.
func (w *twin) syncedData() {
	if w.shrunk {
		return
	}
	w.versions = map[int][][]byte{}
	w.kept = max(w.kept, w.dataEnd)
	w.changed()
}

// changed adds the present state to what may be found.
func (w *twin) changed() {
	w.sizes[len(w.bytes)] = true
	for number := range twinSectors {
		w.versions[number] = append(w.versions[number], w.sector(number))
	}
}

func (w *twin) write(at int, data []byte) {
	w.resize(max(len(w.bytes), at+len(data)))
	copy(w.bytes[at:], data)
	w.dataEnd = max(w.dataEnd, at+len(data))
}

func (w *twin) resize(size int) {
	if size < len(w.bytes) {
		w.dataEnd, w.kept, w.shrunk = min(w.dataEnd, size), 0, true
	}
	kept := w.bytes[:min(size, len(w.bytes))]
	w.bytes = append(kept[:len(kept):len(kept)], make([]byte, size-len(kept))...)
}

// allows says what is wrong with the contents found after a power cut. Within
// the size found, a sector holds one of its versions, cut at that size. Where
// nothing was promised it may end in zeros instead.
func (w *twin) allows(found []byte) error {
	if !w.sizes[len(found)] {
		return fmt.Errorf("size %d is none of %v", len(found), w.sizes)
	}
	if len(found) < w.kept {
		return fmt.Errorf("size %d hides data up to %d that was synced", len(found), w.kept)
	}
	for number := 0; number*sector < len(found); number++ {
		end := min(len(found), (number+1)*sector)
		part, loose := found[number*sector:end], end > w.kept
		allowed := false
		for _, version := range w.versions[number] {
			allowed = allowed || bytes.Equal(part, version[:len(part)]) || loose && zeroTail(part, version)
		}
		if !allowed {
			return fmt.Errorf("sector %d holds none of its %d versions: %q", number, len(w.versions[number]), part)
		}
	}
	return nil
}

// zeroTail reports whether part begins like version and ends in zeros.
func zeroTail(part, version []byte) bool {
	end := len(bytes.TrimRight(part, "\x00"))
	return bytes.Equal(part[:end], version[:end])
}

// TestTheDiskAgreesWithATwin does random things to a file and its twin: they
// always read the same, and a power cut finds what the twin allows.
func TestTheDiskAgreesWithATwin(t *testing.T) {
	t.Parallel()
	for seed := range uint64(150) {
		draws := rand.New(rand.NewPCG(seed, 7))
		d := simdisk.New(seed, simdisk.Options{})
		f, w := created(t, d, "file"), newTwin()
		must(t, f.Sync())
		for range 40 {
			randomStep(t, draws, f, w)
			w.changed()
			found, _ := contents(t, d, "file")
			if !bytes.Equal(found, w.bytes) {
				t.Fatalf("seed %d: the file and its twin read differently\n%s", seed, d.Replay())
			}
			if draws.IntN(4) == 0 {
				must(t, f.Sync())
				w.synced()
			}
			after, _ := contents(t, d.Clone().Crash(), "file")
			if err := w.allows(after); err != nil {
				t.Fatalf("seed %d: after a power cut: %v\n%s", seed, err, d.Replay())
			}
		}
	}
}

func randomStep(t *testing.T, draws *rand.Rand, f disk.File, w *twin) {
	size := draws.IntN(twinSectors * sector)
	switch draws.IntN(10) {
	case 0:
		must(t, f.Truncate(int64(size)))
		w.resize(size)
	case 1:
		must(t, f.Allocate(int64(size)))
		w.resize(max(size, len(w.bytes)))
	case 2:
		must(t, f.SyncData())
		w.syncedData()
	default:
		data := repeat(byte('a'+draws.IntN(26)), draws.IntN(4*sector))
		at := min(size, twinSectors*sector-len(data))
		if draws.IntN(2) == 0 {
			at -= at % sector
		}
		if len(data) > 0 {
			write(t, f, int64(at), data)
			w.write(at, data)
		}
	}
}
