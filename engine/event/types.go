package event

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// Index numbers frames: 1 for the first frame of a log, then without gaps.
// It is the Raft log index.
type Index uint64

// Term is the Raft term in which a frame was proposed.
type Term uint64

// Position is a dense byte address over event bytes: the number of event
// bytes in the log before this place. Frame headers and padding don't count,
// so a position is the same on every replica. Clients see it as
// commitLogOffset and inside offsetMsgId.
type Position uint64

// TopicID names one incarnation of a topic. A topic that is deleted and
// created again gets a new id and starts with empty queues. 0 means no topic.
type TopicID uint32

// Offset numbers the events of one queue: 0, 1, 2 … without gaps. -1 stands
// for "none" where a signed result is returned.
type Offset int64

// Queue names one queue of one topic incarnation.
type Queue struct {
	Topic TopicID
	ID    uint32
}

// Number orders queues by topic, then by id.
func (q Queue) Number() uint64 { return uint64(q.Topic)<<32 | uint64(q.ID) }

// Kind says what an event states. Values are part of the format and are never
// given a new meaning.
type Kind uint8

// The kinds of version 1. A reader that meets an unknown kind stops with the
// version that is needed.
const (
	// KindMessage: a message was stored in (topic, queue). Payload: the record.
	KindMessage Kind = 1
	// KindTopic: a topic was created or its configuration replaced. Payload: TopicConfig.
	KindTopic Kind = 2
	// KindTopicDeleted: the topic incarnation in the envelope is gone.
	KindTopicDeleted Kind = 3
	// KindOffsets: consumer offsets were committed. Payload: OffsetCommit list.
	KindOffsets Kind = 4
	// KindGroup: a consumer group was created or its configuration replaced. Payload: GroupConfig.
	KindGroup Kind = 5
	// KindGroupDeleted: a consumer group is gone. Payload: GroupDeletion.
	KindGroupDeleted Kind = 6
	// KindLost: events may be missing that had been acknowledged. Payload: Lost.
	KindLost Kind = 7
	// KindTrim: retention has dropped the oldest part of the log. Payload: Trim.
	KindTrim Kind = 8
	// KindDelayed: a message was accepted that waits until it is due. It stands
	// in a queue of its own, as RocketMQ's in SCHEDULE_TOPIC_XXXX. Its delivery
	// is a KindMessage with this event as cause. Payload: the record.
	KindDelayed Kind = 9
	// KindHalf: a transactional message was accepted that waits for its outcome.
	// Due is when its producers are asked next. A commit is a KindMessage or
	// KindDelayed with this event as cause. Payload: the record.
	KindHalf Kind = 10
	// KindAsked: the producers of the half message in cause were asked for its
	// outcome. Due is when they are asked again.
	KindAsked Kind = 11
	// KindDropped: the waiting event in cause ends, and nobody will see it: it
	// was rolled back or recalled. Payload: Drop.
	KindDropped Kind = 12
	// KindMoved: the waiting event in cause was stored again, as the segment
	// that has it is going to be trimmed. It keeps its handle, which is the
	// cause. Payload: Move.
	KindMoved Kind = 13
	// KindLocked: queues belong to a client of a group from now on, whoever had
	// them. Payload: Lock.
	KindLocked Kind = 14
	// KindUnlocked: those queues that belong to the client belong to nobody any
	// more: it gave them back, or its lease ran out. Payload: Lock.
	KindUnlocked Kind = 15
	// KindDelivered: clients were sent messages, of groups that want that
	// recorded. Payload: Delivery list.
	KindDelivered Kind = 16

	kindEnd Kind = 17
)

// Known reports whether this version can apply events of kind k.
func (k Kind) Known() bool { return k > 0 && k < kindEnd }

// Waits reports whether an event of kind k waits for something after it is
// stored: until it is due, or for its outcome.
func (k Kind) Waits() bool { return k == KindDelayed || k == KindHalf }

var kindNames = [...]string{
	KindMessage: "message", KindTopic: "topic", KindTopicDeleted: "topic-deleted",
	KindOffsets: "offsets", KindGroup: "group", KindGroupDeleted: "group-deleted", KindLost: "lost",
	KindTrim: "trim", KindDelayed: "delayed", KindHalf: "half", KindAsked: "asked", KindDropped: "dropped", KindMoved: "moved",
	KindLocked: "locked", KindUnlocked: "unlocked", KindDelivered: "delivered",
}

func (k Kind) String() string {
	if k.Known() {
		return kindNames[k]
	}
	return "unknown"
}

// Stream says which index an event enters besides the projections that read
// its kind.
type Stream uint8

const (
	// StreamNone: the event enters no queue.
	StreamNone Stream = 0
	// StreamQueue: the event takes the next offset of its (topic, queue).
	StreamQueue Stream = 1
)

// LogID names a log for life. One per group, random, in the log's first
// frame, in the meta file and in every segment header.
type LogID [16]byte

// Seed is the initial value of every checksum of one log.
type Seed uint32

// Seed derives the checksum seed of the log.
func (id LogID) Seed() Seed { return Seed(checksum(0, id[:])) }

// KeyHash is the index value of a key within a topic incarnation. Readers
// compare the key itself, so a collision costs a read and never shows.
func KeyHash(topic TopicID, key []byte) uint64 {
	var t [4]byte
	binary.LittleEndian.PutUint32(t[:], uint32(topic))
	// Multiplying by an odd constant spreads topic ids over all 64 bits.
	return xxhash.Sum64(key) ^ (xxhash.Sum64(t[:]) * 0x9E3779B97F4A7C15)
}
