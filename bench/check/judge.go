package check

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Rules are what a run may ask for besides what must hold always.
type Rules struct {
	// GapMax is the longest time without SEND_OK that is allowed, of each
	// source; 0 for any.
	GapMax time.Duration
	// Trimmed allows queues to begin behind offset 0, as they do after
	// retention.
	Trimmed bool
	// Handovers says that leadership may move while there is no fault, with which
	// goes what was gathered and not stored.
	Handovers bool
}

// Judge reads a history. An error means that there is no verdict: the history
// can't be read or contradicts itself, which is a fault of the recorder.
func Judge(h History, rules Rules) (*Verdict, error) {
	j := newJudgement(rules)
	err := h.Each(func(e *Event) error {
		if err := j.take(e); err != nil {
			return fmt.Errorf("event %d (%v): %w", j.ordinal, e, err)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("judge: %w", err)
	}
	v := j.verdict()
	if len(v.Violations) == 0 {
		return v, nil
	}
	if err := v.addEvidence(h); err != nil {
		return nil, fmt.Errorf("judge: collect the events to show: %w", err)
	}
	return v, nil
}

// judgement is a history as far as it has been read.
type judgement struct {
	rules   Rules
	ordinal uint32 // of the event that is taken
	now     time.Duration
	drained bool

	writers map[uint32]*writer
	queues  map[Queue]*queue
	extra   map[sighting]struct{}    // further places of messages
	pulls   map[cursor]int64         // next offset of a consumer that pulls
	groups  map[cursor]*consumerMark // offsets of groups
	sources sources
	faults  faults
	found   violations
	counts  counts
}

// cursor is a consumer, or a group, in a queue.
type cursor struct {
	reader uint32
	queue  Queue
}

// sighting is a message at a place.
type sighting struct {
	message Message
	place   place
}

// extraMax bounds further places: so many are a broken broker or recorder.
const extraMax = 1 << 20

func newJudgement(rules Rules) *judgement {
	return &judgement{
		rules: rules, writers: map[uint32]*writer{}, queues: map[Queue]*queue{}, extra: map[sighting]struct{}{},
		pulls: map[cursor]int64{}, groups: map[cursor]*consumerMark{}, found: violations{counts: map[string]int{}},
	}
}

// errHistory is the class of events that no recorder should have written.
var errHistory = errors.New("the history contradicts itself")

func (j *judgement) take(e *Event) error {
	if j.ordinal == math.MaxUint32 {
		return fmt.Errorf("%w: more events than can be counted", errHistory)
	}
	j.ordinal++
	j.now = e.At
	switch e.Kind {
	case WriterBegan:
		return j.writerBegan(e)
	case SendBegan:
		return j.sendBegan(e)
	case SendEnded:
		return j.sendEnded(e)
	case Received, Pulled:
		j.arrived(e)
	case Stored:
		j.stored(e)
	case QueueRead:
		j.queueRead(e)
	case CommitBegan, CommitConfirmed, OffsetRead:
		j.consumerOffset(e)
	case FaultBegan:
		j.faultBegan(e)
	case FaultEnded:
		j.faults.end(e)
	case LoadEnded:
		j.sources.close(e.At)
	case Drained:
		j.drained = true
	case Broken:
		j.found.add(violation{Rule: "the runner saw it", Text: e.Text, subject: subject{ordinal: j.ordinal}})
	}
	return nil
}

func (j *judgement) writerBegan(e *Event) error {
	if _, twice := j.writers[e.Writer]; twice {
		return fmt.Errorf("%w: the writer is there already", errHistory)
	}
	j.writers[e.Writer] = &writer{source: j.sources.named(e.Text), tries: e.Tries, line: e.Line}
	return nil
}

func (j *judgement) sendBegan(e *Event) error {
	w := j.writers[e.Writer]
	if w == nil || e.Number != w.sent {
		return fmt.Errorf("%w: the writer is unknown or the number isn't its next", errHistory)
	}
	w.add(j.ordinal, e.Queue)
	w.source.begin(e.At)
	return nil
}

func (j *judgement) sendEnded(e *Event) error {
	m, w, known := j.message(e.Message)
	if !known || *m.ended != 0 {
		return fmt.Errorf("%w: the message has not begun, or has ended already", errHistory)
	}
	*m.ended = j.ordinal
	w.source.end(e)
	if e.Status == Refused {
		m.set(refused)
	}
	if !e.Status.Placed() {
		return nil
	}
	asked, at := m.asked(), placeOf(e.Queue, e.Offset, e.Position)
	if !m.is(placed) && asked != NoQueue && asked != e.Queue {
		j.found.message("a message is where it was sent to", e.Message,
			"%v was sent to %v and confirmed in %v", e.Message, asked, e.Queue)
	}
	if m.is(placed) && !m.place.same(at) {
		if w.tries < 2 {
			j.found.message("a message has one place", e.Message, "%v was sent once; the receipt says %v offset %d, a consumer got it at %v offset %d",
				e.Message, e.Queue, e.Offset, m.place.queue(), m.place.offset())
		} else if err := j.further(e.Message, *m.place); err != nil {
			return err
		}
	}
	*m.place = at
	m.set(placed | told)
	if e.Status == OK {
		m.set(confirmed)
	}
	return nil
}

// message finds a message that was sent.
func (j *judgement) message(name Message) (entry, *writer, bool) {
	w := j.writers[name.Writer]
	if w == nil || name.Number >= w.sent {
		return entry{}, nil, false
	}
	return w.at(name.Number), w, true
}

// further notes one more place where a message must be.
func (j *judgement) further(m Message, p place) error {
	j.extra[sighting{m, p}] = struct{}{}
	if len(j.extra) > extraMax {
		return fmt.Errorf("%w: more than %d messages were seen in several places", errHistory, extraMax)
	}
	return nil
}

// arrived takes a message that a consumer got.
func (j *judgement) arrived(e *Event) {
	m, w, known := j.message(e.Message)
	if !known || m.is(refused) {
		j.found.message("nothing is there that was not sent", e.Message, "consumer %d got %v at %v offset %d, which was never sent or was refused",
			e.Reader, e.Message, e.Queue, e.Offset)
		return
	}
	if e.Kind == Pulled {
		j.pulled(e)
	} else {
		j.counts.Received++
		if m.is(received) {
			j.counts.Redelivered++
		}
		m.set(received)
	}
	m.set(seen)
	at := placeOf(e.Queue, e.Offset, NoPosition)
	switch {
	case !m.is(placed):
		*m.place = at
		m.set(placed)
	case m.place.same(at):
	case w.tries < 2:
		j.found.message("a message has one place", e.Message, "%v was sent once; consumer %d got it at %v offset %d, and it is known at %v offset %d",
			e.Message, e.Reader, e.Queue, e.Offset, m.place.queue(), m.place.offset())
	default:
		_ = j.further(e.Message, at) // the next receipt tells if they are too many
	}
}

// pulled holds a consumer that pulls to its offsets.
func (j *judgement) pulled(e *Event) {
	c := cursor{e.Reader, e.Queue}
	if next, began := j.pulls[c]; began && e.Offset != next {
		j.found.queue("a consumer that pulls gets each offset after the one before it", e.Queue, e.Offset,
			"consumer %d got offset %d of %v after offset %d", e.Reader, e.Offset, e.Queue, next-1)
	}
	j.pulls[c] = e.Offset + 1
}
