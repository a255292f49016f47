package replication

import (
	"bytes"
	"testing"
)

func FuzzDecodeReplicated(f *testing.F) {
	seed := testLog.Seed()
	f.Add(encodeReplicated(0, seed))
	f.Add(encodeReplicated(1<<40, seed))
	f.Add([]byte{})
	f.Add(make([]byte, replicatedBytes))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, b := range [][]byte{b, sealed(b, replicatedMagic, seed)} {
			through, err := decodeReplicated(b, seed)
			if err == nil && !bytes.Equal(encodeReplicated(through, seed), b) {
				t.Errorf("%x is read as frame %d, which is written as %x", b, through, encodeReplicated(through, seed))
			}
		}
	})
}
