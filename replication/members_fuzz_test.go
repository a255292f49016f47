package replication

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/apogeemq/apogee/engine/event"
)

// sealed makes b pass for what a file of that kind holds, as far as magic and
// checksum tell.
func sealed(b []byte, magic uint32, seed event.Seed) []byte {
	b = bytes.Clone(b)
	if len(b) < 8 {
		return b
	}
	binary.LittleEndian.PutUint32(b, magic)
	binary.LittleEndian.PutUint32(b[4:], event.Checksum(seed, b[8:]))
	return b
}

func FuzzDecodeMembers(f *testing.F) {
	seed := testLog.Seed()
	f.Add(encodeMembers(nil, seed))
	f.Add(encodeMembers([]noted{{index: 1, data: []byte("a")}, {index: 1 << 40, data: []byte("bc")}}, seed))
	f.Add([]byte{})
	f.Add(make([]byte, membersBytes))
	f.Add(append(encodeMembers(nil, seed), 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, b := range [][]byte{b, sealed(b, membersMagic, seed)} {
			all, err := decodeMembers(b, seed)
			if err == nil && !bytes.Equal(encodeMembers(all, seed), b) {
				t.Errorf("%x is read as %+v, which is written as %x", b, all, encodeMembers(all, seed))
			}
		}
	})
}

func FuzzParseDivergence(f *testing.F) {
	f.Add(Divergence{First: 7, Last: 1 << 60, Chain: 0xdeadbeef}.Name())
	f.Add("")
	f.Add("99999999999999999999-00000000000000000000.00000000")
	f.Fuzz(func(t *testing.T, name string) {
		if d, ok := ParseDivergence(name); ok && d.Name() != name {
			t.Errorf("%q is read as %+v, whose name is %q", name, d, d.Name())
		}
	})
}
