package e2e

import (
	"encoding/binary"
	"time"
)

// stampBytes: every body begins with a mark of its run, its number and when it
// was due.
const stampBytes = 24

// stamp marks a body.
type stamp struct {
	run    uint64
	number uint64
	due    time.Duration // from the start of the run
}

func (s stamp) put(body []byte) {
	be := binary.BigEndian
	be.PutUint64(body, s.run)
	be.PutUint64(body[8:], s.number)
	be.PutUint64(body[16:], uint64(s.due))
}

func readStamp(body []byte) (stamp, bool) {
	if len(body) < stampBytes {
		return stamp{}, false
	}
	be := binary.BigEndian
	return stamp{be.Uint64(body), be.Uint64(body[8:]), time.Duration(be.Uint64(body[16:]))}, true
}

// set is which messages have arrived.
type set []uint64

func newSet(count int) set { return make(set, (count+63)/64) }

// add reports whether number is new. Numbers outside the set are not.
func (s set) add(number uint64) bool {
	at, bit := number/64, uint64(1)<<(number%64)
	if at >= uint64(len(s)) || s[at]&bit != 0 {
		return false
	}
	s[at] |= bit
	return true
}
