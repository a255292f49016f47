package check

import "fmt"

// Violation is a promise that was broken.
type Violation struct {
	Rule   string
	Text   string
	Events []string // that show it, in their order
}

// subject is what the events of a violation have in common.
type subject struct {
	messages []Message
	queue    Queue
	offset   int64
	cursor   *cursor
	ordinal  uint32
	places   bool // queue and offset count
}

// concerns reports whether an event says something about the subject.
func (s *subject) concerns(e *Event, ordinal uint32) bool {
	if s.ordinal != 0 && ordinal == s.ordinal {
		return true
	}
	switch e.Kind {
	case SendBegan, SendEnded, Received, Pulled, Stored:
		for _, m := range s.messages {
			if e.Message == m {
				return true
			}
		}
		if s.places && e.Kind != SendBegan && (e.Kind != SendEnded || e.Status.Placed()) {
			return e.Queue == s.queue && e.Offset >= s.offset-1 && e.Offset <= s.offset
		}
	case QueueRead:
		return s.places && e.Queue == s.queue
	case CommitBegan, CommitConfirmed, OffsetRead:
		return s.cursor != nil && e.Reader == s.cursor.reader && e.Queue == s.cursor.queue
	}
	return false
}

// violation is one with what is needed to find its events.
type violation struct {
	Rule, Text string
	subject    subject
}

// eachMax is how many violations of one rule are kept; all are counted.
const eachMax = 10

type violations struct {
	list   []violation
	counts map[string]int
}

func (v *violations) add(one violation) {
	if v.counts[one.Rule]++; v.counts[one.Rule] <= eachMax {
		v.list = append(v.list, one)
	}
}

func (v *violations) message(rule string, m Message, format string, args ...any) {
	v.add(violation{Rule: rule, Text: fmt.Sprintf(format, args...), subject: subject{messages: []Message{m}}})
}

func (v *violations) pair(rule string, a, b Message, format string, args ...any) {
	v.add(violation{Rule: rule, Text: fmt.Sprintf(format, args...), subject: subject{messages: []Message{a, b}}})
}

func (v *violations) queue(rule string, q Queue, offset int64, format string, args ...any) {
	v.add(violation{Rule: rule, Text: fmt.Sprintf(format, args...), subject: subject{places: true, queue: q, offset: offset}})
}

func (v *violations) cursor(rule string, c cursor, format string, args ...any) {
	v.add(violation{Rule: rule, Text: fmt.Sprintf(format, args...), subject: subject{cursor: &c}})
}
