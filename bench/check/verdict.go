package check

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Verdict is what a history shows.
type Verdict struct {
	Counts
	Length     time.Duration
	Sources    []Source
	Violations []Violation    // the first of each rule
	Broken     map[string]int // how often each rule was broken

	subjects []violation // of Violations, in their order
}

// Counts are totals of a history.
type Counts struct {
	Events      uint64
	Stored      uint64 // messages that were read back
	Duplicates  uint64 // copies among them beyond the first, within what resends allow
	Received    uint64 // by consumers that don't pull
	Redelivered uint64 // of these, for the second time or more
	OffsetsRead uint64
	Faults      uint64
}

// Source is what became of the sends of one kind of producer.
type Source struct {
	Name     string
	Sent     uint64
	Statuses map[Status]uint64
	Longest  Gap // without SEND_OK
}

type counts = Counts

// verdict ends the judgement.
func (j *judgement) verdict() *Verdict {
	j.sources.close(j.now)
	for _, id := range slices.Sorted(maps.Keys(j.writers)) {
		w := j.writers[id]
		for number := range w.sent {
			j.conclude(Message{id, number}, w.at(number))
		}
	}
	for s := range j.extra {
		j.found.message("a consumer's messages stay", s.message, "%v was seen at %v offset %d, and is not there",
			s.message, s.place.queue(), s.place.offset())
	}
	v := &Verdict{Counts: j.counts, Length: j.now, Broken: j.found.counts}
	v.Events, v.Faults = uint64(j.ordinal), j.faults.total
	for _, s := range j.sources {
		s.longest.Faults = j.faults.during(s.longest.From, s.longest.To)
		if limit := j.rules.GapMax; limit > 0 && s.longest.Length() > limit {
			j.found.add(violation{Rule: "SEND_OK comes in time", Text: fmt.Sprintf("%s: no SEND_OK for %v", s.name, s.longest)})
		}
		v.Sources = append(v.Sources, s.verdict())
	}
	for _, one := range j.found.list {
		v.Violations = append(v.Violations, Violation{one.Rule, one.Text, nil})
	}
	v.subjects = j.found.list
	return v
}

func (s *source) verdict() Source {
	statuses := map[Status]uint64{}
	for status, n := range s.statuses {
		if n > 0 {
			statuses[Status(status)] = n
		}
	}
	return Source{s.name, s.sent, statuses, s.longest}
}

// conclude says what became of one message. A history in which no queue was
// read back says nothing of what is stored.
func (j *judgement) conclude(name Message, m entry) {
	read := len(j.queues) > 0
	switch {
	case read && m.is(confirmed) && !m.is(matched) && m.copies() == 0:
		j.found.message("nothing confirmed is lost", name, "%v is lost: SEND_OK said %v offset %d", name, m.place.queue(), m.place.offset())
	case read && m.is(seen) && !m.is(matched):
		j.found.message("a consumer's messages stay", name, "%v was seen at %v offset %d, and is not there",
			name, m.place.queue(), m.place.offset())
	case read && m.is(placed) && !m.is(matched) && m.copies() > 0:
		j.found.message("a message has one place", name, "%v isn't at the place of its receipt, %v offset %d, but elsewhere",
			name, m.place.queue(), m.place.offset())
	}
	if j.drained && m.is(confirmed) && !m.is(received) {
		j.found.message("everything confirmed arrives", name, "%v was confirmed at %v offset %d and reached no consumer",
			name, m.place.queue(), m.place.offset())
	}
}

// eventsMax bounds the events that are shown for a violation.
const eventsMax = 16

// addEvidence reads the history once more for the events to show.
func (v *Verdict) addEvidence(h History) error {
	ordinal := uint32(0)
	return h.Each(func(e *Event) error {
		ordinal++
		for i := range v.Violations {
			if !v.subjects[i].subject.concerns(e, ordinal) {
				continue
			}
			events := append(v.Violations[i].Events, e.String())
			if len(events) > eventsMax { // the first ones and the last ones say most
				events = slices.Delete(events, eventsMax/2, eventsMax/2+1)
			}
			v.Violations[i].Events = events
		}
		return nil
	})
}

// Err is nil when no promise was broken.
func (v *Verdict) Err() error {
	if len(v.Violations) == 0 {
		return nil
	}
	return fmt.Errorf("promises were broken:\n%s", v.violations())
}

// String is the verdict for people.
func (v *Verdict) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d events in %.1f s, %d faults\n", v.Events, v.Length.Seconds(), v.Faults)
	for _, s := range v.Sources {
		fmt.Fprintf(&b, "%-18s %d sent", s.Name, s.Sent)
		for _, status := range slices.Sorted(maps.Keys(s.Statuses)) {
			fmt.Fprintf(&b, ", %d %v", s.Statuses[status], status)
		}
		fmt.Fprintf(&b, "\n%-18s longest time without SEND_OK: %v\n", "", s.Longest)
	}
	fmt.Fprintf(&b, "stored %d, of which %d are copies; received %d, of which %d again; %d offsets of groups read\n",
		v.Stored, v.Duplicates, v.Received, v.Redelivered, v.OffsetsRead)
	if len(v.Violations) == 0 {
		b.WriteString("no promise was broken\n")
		return b.String()
	}
	b.WriteString("BROKEN PROMISES\n" + v.violations())
	return b.String()
}

func (v *Verdict) violations() string {
	var b strings.Builder
	for _, rule := range slices.Sorted(maps.Keys(v.Broken)) {
		fmt.Fprintf(&b, "%s: %d times\n", rule, v.Broken[rule])
		for _, one := range v.Violations {
			if one.Rule != rule {
				continue
			}
			fmt.Fprintf(&b, "  %s\n", one.Text)
			for _, event := range one.Events {
				fmt.Fprintf(&b, "      %s\n", event)
			}
		}
	}
	return b.String()
}
