package transport

import "github.com/apogeemq/apogee/engine/event"

// Hello says who a node is.
type Hello struct {
	Group   string      // name of the group
	Log     event.LogID // of the log that the node has, zero for none yet
	Node    [16]byte    // random name of its copy of the log, zero for none yet
	Name    string      // for people: n0
	Address string      // at which the node's Network listens
	Service string      // at which clients reach the node
}

const nameBytesMax = 255

func (h Hello) append(b []byte) []byte {
	b = appendBytes(b, h.Group)
	b = append(b, h.Log[:]...)
	b = append(b, h.Node[:]...)
	b = appendBytes(b, h.Name)
	b = appendBytes(b, h.Address)
	return appendBytes(b, h.Service)
}

func decodeHello(d *decoder) (h Hello) {
	h.Group = d.text(nameBytesMax)
	copy(h.Log[:], d.take(len(h.Log)))
	copy(h.Node[:], d.take(len(h.Node)))
	h.Name = d.text(nameBytesMax)
	h.Address = d.text(nameBytesMax)
	h.Service = d.text(nameBytesMax)
	return h
}
