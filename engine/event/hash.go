package event

import "encoding/binary"

// KeysMax bounds the key hashes of one event.
const KeysMax = 255

// Events are found by the hashes they carry, not only by the keys that clients
// give to messages. The keys below are the log's own. They begin with a byte
// that no key of a client has, as it ends a record's properties.
const ownKey = 0x02

// What an own key is about.
const (
	aboutCommit   = 'c'
	aboutFirst    = 'f'
	aboutSetBack  = 'b'
	aboutDelivery = 'd'
	aboutCause    = 'e'
)

// CommitHash is carried by each KindOffsets event with a commit of the group
// for the queue. But for the two cases below the offsets of those events go up
// along the log, so the one that first passed an offset is found by halving.
func CommitHash(group string, q Queue) uint64 { return queueHash(aboutCommit, group, q) }

// FirstCommitHash is carried besides CommitHash where the group had no offset
// for the queue before, or none any more.
func FirstCommitHash(group string, q Queue) uint64 { return queueHash(aboutFirst, group, q) }

// SetBackHash is carried besides CommitHash where the offset is lower than the
// one before.
func SetBackHash(group string, q Queue) uint64 { return queueHash(aboutSetBack, group, q) }

// DeliveryHash is carried by each KindDelivered event with a delivery to the
// group of an offset of the block of DeliveryBlock offsets in which offset is.
func DeliveryHash(group string, q Queue, offset Offset) uint64 {
	key := make([]byte, 0, 64)
	key = append(key, ownKey, aboutDelivery)
	key = binary.LittleEndian.AppendUint32(key, q.ID)
	key = binary.LittleEndian.AppendUint64(key, uint64(offset/DeliveryBlock))
	return KeyHash(q.Topic, append(key, group...))
}

// CauseHash is carried by events that end what waits under a handle and have no
// other key: it names their cause.
func CauseHash(handle Position) uint64 {
	var key [10]byte
	key[0], key[1] = ownKey, aboutCause
	binary.LittleEndian.PutUint64(key[2:], uint64(handle))
	return KeyHash(0, key[:])
}

func queueHash(about byte, group string, q Queue) uint64 {
	key := make([]byte, 0, 64)
	key = append(key, ownKey, about)
	key = binary.LittleEndian.AppendUint32(key, q.ID)
	return KeyHash(q.Topic, append(key, group...))
}
