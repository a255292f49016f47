package replication

import (
	"sync"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
)

// headsMax is how many headers are kept: those that Raft looks up for some
// messages to some replicas.
const headsMax = 4096

// heads are headers of frames of events that were read lately. Raft looks up
// the entries of a whole message, of which the transport takes as many as are a
// megabyte; it asks for the others again with the next message.
type heads struct {
	mu   sync.Mutex
	kept []head // by index modulo headsMax; nil before the first
}

type head struct {
	index     event.Index
	term      event.Term
	timestamp int64
}

// of is the header of a frame, as far as it is kept.
func (h *heads) of(index event.Index) (commitlog.Header, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.kept == nil {
		return commitlog.Header{}, false
	}
	k := h.kept[index%headsMax]
	return commitlog.Header{Kind: commitlog.FrameEvents, Index: k.index, Term: k.term, Timestamp: k.timestamp}, k.index == index
}

func (h *heads) keep(f commitlog.Header) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.kept == nil {
		h.kept = make([]head, headsMax)
	}
	h.kept[f.Index%headsMax] = head{f.Index, f.Term, f.Timestamp}
}

// forget drops all: other frames may get these indexes.
func (h *heads) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.kept)
}
