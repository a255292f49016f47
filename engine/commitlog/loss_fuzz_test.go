package commitlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
	"github.com/apogeemq/apogee/engine/event"
)

// FuzzRunningAndLost: whatever stands in the files running and lost, the log was
// open, and it lacks something. Files of a newer version are refused.
func FuzzRunningAndLost(f *testing.F) {
	const seed = event.Seed(7)
	record := func(kind blockKind, payload int) []byte {
		b := make([]byte, blockHeaderBytes+payload)
		putBlock(b, kind, seed, bytes.Repeat([]byte{1}, payload))
		return b
	}
	f.Add(record(blockRunning, runningPayloadBytes))
	f.Add(record(blockLost, lostPayloadBytes))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) >= blockHeaderBytes { // or hardly any would pass
			binary.LittleEndian.PutUint32(b[12:], blockSum(b, min(int(binary.LittleEndian.Uint32(b[8:])), len(b)-blockHeaderBytes), seed))
		}
		if len(b) > recordBytesMax {
			return
		}
		d := simdisk.New(1, simdisk.Options{})
		for _, name := range []string{runningName, lostName} {
			if err := disk.WriteWhole(d, name, b); err != nil {
				t.Fatal(err)
			}
		}
		if _, found, err := readRunning(d, seed); !found && !errors.Is(err, ErrNewerFormat) {
			t.Fatalf("the log was not open: %v", err)
		}
		loss, err := readLoss(d, seed)
		if loss == nil && !errors.Is(err, ErrNewerFormat) {
			t.Fatalf("nothing is lost: %v", err)
		}
		if loss == nil || *loss == (Loss{Cause: event.LostByDamage}) {
			return
		}
		if err := writeLoss(d, seed, *loss); err != nil {
			t.Fatal(err)
		}
		again, err := disk.ReadWhole(d, lostName, recordBytesMax)
		if err != nil || !bytes.HasPrefix(b, again) {
			t.Fatalf("%x is read as %+v, which is written as %x; %v", b, *loss, again, err)
		}
	})
}
