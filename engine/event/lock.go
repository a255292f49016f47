package event

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Lock is the payload of KindLocked and KindUnlocked: queues that a client
// consumes in order for its group, so that nobody else of the group may.
//
// Encoded: version byte 1, group and client, each as uvarint length and bytes,
// uvarint number of queues, then for each of them uvarint topic id and uvarint
// queue id.
type Lock struct {
	Group  string
	Client string
	Queues []Queue // one at least
}

// Validate reports what the caller did wrong. Whoever proposes a lock event
// calls it first.
func (l Lock) Validate() error {
	if err := checkName("group", l.Group); err != nil {
		return fmt.Errorf("encode lock: %w", err)
	}
	if err := checkName("client", l.Client); err != nil {
		return fmt.Errorf("encode lock: %w", err)
	}
	if len(l.Queues) == 0 {
		return fmt.Errorf("encode lock: no queue")
	}
	return nil
}

// AppendLock appends the encoded form of l, which Validate has passed, to dst.
func AppendLock(dst []byte, l Lock) []byte {
	dst = append(dst, payloadVersion)
	dst = appendText(dst, l.Group)
	dst = appendText(dst, l.Client)
	dst = binary.AppendUvarint(dst, uint64(len(l.Queues)))
	for _, q := range l.Queues {
		dst = binary.AppendUvarint(dst, uint64(q.Topic))
		dst = binary.AppendUvarint(dst, uint64(q.ID))
	}
	return dst
}

// queueBytesMin is the shortest encoded queue.
const queueBytesMin = 2

// DecodeLock decodes all of b. What it accepts also passes Validate. Errors
// match ErrCorrupt.
func DecodeLock(b []byte) (Lock, error) {
	r := readPayload("lock", b)
	l := Lock{Group: r.text("group", NameBytesMax), Client: r.text("client", NameBytesMax)}
	n := r.count("number of queues", queueBytesMin)
	if r.err == nil {
		l.Queues = make([]Queue, 0, n)
	}
	for i := 0; i < n && r.err == nil; i++ {
		l.Queues = append(l.Queues, Queue{
			Topic: TopicID(r.number("topic", math.MaxUint32)), ID: uint32(r.number("queue", math.MaxUint32)),
		})
	}
	if err := r.end(); err != nil {
		return Lock{}, err
	}
	if err := l.Validate(); err != nil {
		return Lock{}, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return l, nil
}
