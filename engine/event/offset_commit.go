package event

import (
	"encoding/binary"
	"fmt"
	"math"
)

// OffsetCommit says how far a group has consumed one queue.
type OffsetCommit struct {
	// Group that consumes, 1 to NameBytesMax bytes.
	Group string
	Queue Queue
	// Offset of the next event the group wants: 0 or more. It may be lower
	// than the one before, as after a reset.
	Offset Offset
	// Client that asked for the commit, "" where unknown, NameBytesMax bytes
	// at most.
	Client string
}

// offsetCommitBytesMin is the least an encoded commit takes: five numbers.
const offsetCommitBytesMin = 5

// ValidateOffsetCommits reports what the caller did wrong. Whoever proposes a
// KindOffsets event calls it first: a list that passes can be decoded again.
func ValidateOffsetCommits(commits []OffsetCommit) error {
	for i := range commits {
		c := &commits[i]
		if err := checkName("group name", c.Group); err != nil {
			return fmt.Errorf("encode offset commit %d: %w", i, err)
		}
		if len(c.Client) > NameBytesMax {
			return fmt.Errorf("encode offset commit %d of group %q: client of %d bytes, at most %d are allowed", i, c.Group, len(c.Client), NameBytesMax)
		}
		if c.Offset < 0 {
			return fmt.Errorf("encode offset commit %d of group %q: offset %d, 0 or more is allowed", i, c.Group, c.Offset)
		}
	}
	return nil
}

// AppendOffsetCommits appends the payload of a KindOffsets event to dst: the
// commits, which ValidateOffsetCommits has passed, in the given order. Where
// a (group, queue) occurs twice the later one counts.
//
// Encoded: version byte 1, uvarint number of texts, the texts (groups and
// clients, each once, in order of first use), uvarint number of commits, then
// for each commit five uvarints: group text, topic, queue id, offset, client
// text. A text is a uvarint length and its bytes.
func AppendOffsetCommits(dst []byte, commits []OffsetCommit) []byte {
	var t textTable
	for i := range commits {
		t.number(commits[i].Group)
		t.number(commits[i].Client)
	}
	dst = t.append(append(dst, payloadVersion))
	dst = binary.AppendUvarint(dst, uint64(len(commits)))
	for i := range commits {
		c := &commits[i]
		dst = binary.AppendUvarint(dst, t.number(c.Group))
		dst = binary.AppendUvarint(dst, uint64(c.Queue.Topic))
		dst = binary.AppendUvarint(dst, uint64(c.Queue.ID))
		dst = binary.AppendUvarint(dst, uint64(c.Offset))
		dst = binary.AppendUvarint(dst, t.number(c.Client))
	}
	return dst
}

// DecodeOffsetCommits decodes all of b. The result shares no memory with b;
// commits of one group or client share their text. What it accepts also
// passes ValidateOffsetCommits. Errors match ErrCorrupt.
func DecodeOffsetCommits(b []byte) ([]OffsetCommit, error) {
	r := readPayload("offset commits", b)
	texts := r.texts()
	commits := make([]OffsetCommit, r.count("number of commits", offsetCommitBytesMin))
	if len(commits) > 0 && len(texts) == 0 {
		r.fail("%d commits without a text", len(commits))
	}
	for i := range commits {
		if r.err != nil {
			break
		}
		last := uint64(len(texts) - 1)
		group := r.number("group text", last)
		topic := r.number("topic", math.MaxUint32)
		id := r.number("queue id", math.MaxUint32)
		offset := r.number("offset", math.MaxInt64)
		client := r.number("client text", last)
		commits[i] = OffsetCommit{
			Group:  texts[group],
			Queue:  Queue{Topic: TopicID(topic), ID: uint32(id)},
			Offset: Offset(offset),
			Client: texts[client],
		}
	}
	if err := r.end(); err != nil {
		return nil, err
	}
	if err := ValidateOffsetCommits(commits); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return commits, nil
}
