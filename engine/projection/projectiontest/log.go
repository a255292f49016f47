package projectiontest

import (
	"fmt"
	"math"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
	"pgregory.net/rapid"
)

const (
	frameHeaderBytes = 96
	blockBytes       = 512
)

// Step is one event and its place.
type Step struct {
	At    projection.Place
	Event event.Event
}

// Log lays events out as a log does: dense positions, frames that begin at
// blocks, segments named by base position.
type Log struct {
	segmentBytes uint32
	next         projection.Place
}

// NewLog returns an empty log with segments of segmentBytes each. A frame
// that is longer has a segment to itself.
func NewLog(segmentBytes uint32) *Log {
	return &Log{segmentBytes: segmentBytes, next: projection.Place{Index: 1}}
}

// Frame appends one frame and returns its events with their places.
func (l *Log) Frame(timestamp int64, drafts ...event.Draft) []Step {
	size := uint32(frameHeaderBytes)
	for i := range drafts {
		size += uint32(drafts[i].EncodedBytes())
	}
	if l.next.FrameOffset > 0 && uint64(l.next.FrameOffset)+uint64(size) > uint64(l.segmentBytes) {
		l.next.Segment, l.next.FrameOffset = l.next.Position, 0
	}
	l.next.Timestamp = timestamp
	steps := make([]Step, len(drafts))
	for i := range drafts {
		b := make([]byte, drafts[i].EncodedBytes())
		drafts[i].Encode(b, 0)
		steps[i] = Step{At: l.next, Event: b}
		l.next.Position += event.Position(len(b))
	}
	l.next.Index++
	l.next.FrameOffset += (size + blockBytes - 1) / blockBytes * blockBytes
	return steps
}

// Logs draws logs of up to about a hundred frames.
func Logs() *rapid.Generator[[]Step] {
	return rapid.Custom(func(t *rapid.T) []Step {
		log := NewLog(uint32(rapid.SampledFrom([]int{1, 4 << 10, 64 << 10, math.MaxUint32}).Draw(t, "segment bytes")))
		timestamp := rapid.Int64Range(0, 1_800_000_000_000).Draw(t, "start")
		var steps []Step
		for _, frame := range rapid.SliceOfN(rapid.SliceOfN(Drafts(), 1, 20), 1, 100).Draw(t, "frames") {
			timestamp += rapid.Int64Range(0, 3).Draw(t, "milliseconds later")
			steps = append(steps, log.Frame(timestamp, frame...)...)
		}
		return steps
	})
}

// Drafts draws events that a proposer may let through. Half of them are
// messages of a queue.
func Drafts() *rapid.Generator[event.Draft] {
	return rapid.Custom(func(t *rapid.T) event.Draft {
		d := event.Draft{Kind: event.KindMessage, Stream: event.StreamQueue, Topic: topicIDs().Draw(t, "topic")}
		if rapid.Bool().Draw(t, "other kind") {
			d.Kind = event.Kind(rapid.IntRange(int(event.KindMessage), int(event.KindDelivered)).Draw(t, "kind"))
			d.Stream = event.Stream(rapid.IntRange(0, 3).Draw(t, "stream"))
		}
		d.Queue = queueIDs().Draw(t, "queue")
		d.Tag = rapid.Int32().Draw(t, "tag")
		d.Keys = rapid.SliceOfN(rapid.Uint64(), 0, 2).Draw(t, "keys")
		switch d.Kind {
		case event.KindTopic:
			d.Payload = event.Bytes(event.AppendTopicConfig(nil, topicConfigs().Draw(t, "configuration")))
		case event.KindOffsets:
			d.Payload = event.Bytes(event.AppendOffsetCommits(nil, offsetCommits().Draw(t, "commits")))
		case event.KindGroup:
			d.Payload = event.Bytes(event.AppendGroupConfig(nil, groupConfigs().Draw(t, "configuration")))
		case event.KindGroupDeleted:
			deletion := event.GroupDeletion{Name: groupNames().Draw(t, "group"), Offsets: rapid.Bool().Draw(t, "offsets")}
			d.Payload = event.Bytes(event.AppendGroupDeletion(nil, deletion))
		case event.KindTrim:
			d.Payload = event.Bytes(event.AppendTrim(nil, trims().Draw(t, "trim")))
		case event.KindLocked, event.KindUnlocked:
			d.Payload = event.Bytes(event.AppendLock(nil, locks().Draw(t, "lock")))
		default:
			d.Payload = event.Bytes(rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "payload"))
		}
		return d
	})
}

func topicIDs() *rapid.Generator[event.TopicID] {
	return rapid.SampledFrom([]event.TopicID{1, 1, 1, 2, 3, 4, 5, math.MaxUint32})
}

func queueIDs() *rapid.Generator[uint32] {
	return rapid.SampledFrom([]uint32{0, 0, 0, 1, 2, 3, math.MaxUint32})
}

func topicConfigs() *rapid.Generator[event.TopicConfig] {
	return rapid.Custom(func(t *rapid.T) event.TopicConfig {
		c := event.TopicConfig{
			Name:        fmt.Sprintf("topic-%d", rapid.IntRange(1, 5).Draw(t, "name")),
			ReadQueues:  rapid.Uint32().Draw(t, "read queues"),
			WriteQueues: rapid.Uint32().Draw(t, "write queues"),
		}
		for i := range rapid.IntRange(0, 3).Draw(t, "attributes") {
			c.Attributes = append(c.Attributes, event.Attribute{Key: fmt.Sprintf("key-%d", i), Value: rapid.String().Draw(t, "value")})
		}
		return c
	})
}

func groupNames() *rapid.Generator[string] {
	return rapid.SampledFrom([]string{"group-1", "group-2", "group-3"})
}

func groupConfigs() *rapid.Generator[event.GroupConfig] {
	return rapid.Custom(func(t *rapid.T) event.GroupConfig {
		c := event.GroupConfig{Name: groupNames().Draw(t, "name")}
		for i := range rapid.IntRange(0, 3).Draw(t, "attributes") {
			c.Attributes = append(c.Attributes, event.Attribute{Key: fmt.Sprintf("key-%d", i), Value: rapid.String().Draw(t, "value")})
		}
		return c
	})
}

func offsetCommits() *rapid.Generator[[]event.OffsetCommit] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) event.OffsetCommit {
		return event.OffsetCommit{
			Group:  groupNames().Draw(t, "group"),
			Queue:  event.Queue{Topic: topicIDs().Draw(t, "topic"), ID: queueIDs().Draw(t, "queue")},
			Offset: event.Offset(rapid.Int64Range(0, math.MaxInt64).Draw(t, "offset")),
			Client: rapid.SampledFrom([]string{"", "client-1", "client-2"}).Draw(t, "client"),
		}
	}), 0, 8)
}

func locks() *rapid.Generator[event.Lock] {
	return rapid.Custom(func(t *rapid.T) event.Lock {
		l := event.Lock{Group: groupNames().Draw(t, "group"), Client: rapid.SampledFrom([]string{"client-1", "client-2"}).Draw(t, "client")}
		for range rapid.IntRange(1, 4).Draw(t, "queues") {
			l.Queues = append(l.Queues, event.Queue{Topic: topicIDs().Draw(t, "topic"), ID: queueIDs().Draw(t, "queue")})
		}
		return l
	})
}

func trims() *rapid.Generator[event.Trim] {
	return rapid.Custom(func(t *rapid.T) event.Trim {
		return event.Trim{
			Through:  event.Index(rapid.Uint64Range(1, 120).Draw(t, "through")),
			Position: event.Position(rapid.Uint64Range(1, 100_000).Draw(t, "position")),
			Cause:    event.TrimCause(rapid.IntRange(int(event.TrimByAge), int(event.TrimBySpace)).Draw(t, "cause")),
		}
	})
}
