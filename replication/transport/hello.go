package transport

import (
	"encoding/binary"

	"github.com/apogeemq/apogee/engine/event"
)

// Hello says who a node is.
type Hello struct {
	Group   string      // name of the group
	Log     event.LogID // of the log that the node has, zero for none yet
	Node    [16]byte    // random name of its copy of the log, zero for none yet
	Name    string      // for people: n0
	Address string      // at which the node's Network listens
	Service string      // at which clients reach the node
	Term    event.Term  // the latest that the node knows of
	End     event.Index // last frame of its log
	Leads   bool        // the node leads its group
	Joins   bool        // the node asks to be given the log
}

// Bits of a Hello's last byte.
const (
	helloLeads = 1 << iota
	helloJoins
)

const nameBytesMax = 255

func (h Hello) append(b []byte) []byte {
	b = appendBytes(b, h.Group)
	b = append(b, h.Log[:]...)
	b = append(b, h.Node[:]...)
	b = appendBytes(b, h.Name)
	b = appendBytes(b, h.Address)
	b = appendBytes(b, h.Service)
	b = binary.LittleEndian.AppendUint64(b, uint64(h.Term))
	b = binary.LittleEndian.AppendUint64(b, uint64(h.End))
	bits := byte(0)
	if h.Leads {
		bits |= helloLeads
	}
	if h.Joins {
		bits |= helloJoins
	}
	return append(b, bits)
}

func decodeHello(d *decoder) (h Hello) {
	h.Group = d.text(nameBytesMax)
	copy(h.Log[:], d.take(len(h.Log)))
	copy(h.Node[:], d.take(len(h.Node)))
	h.Name = d.text(nameBytesMax)
	h.Address = d.text(nameBytesMax)
	h.Service = d.text(nameBytesMax)
	h.Term, h.End = event.Term(d.uint64()), event.Index(d.uint64())
	bits := d.uint8()
	if bits > helloLeads|helloJoins {
		d.fail("a hello with the bits %#x", bits)
	}
	h.Leads, h.Joins = bits&helloLeads != 0, bits&helloJoins != 0
	return h
}
