package check

import "time"

// consumerMark is what must be remembered of a group in a queue.
type consumerMark struct {
	firm  int64 // no fault may take it
	known int64 // read since the last fault
	// early is what was read at some time since the last fault: a while later it is
	// stored.
	early   int64
	earlyAt time.Duration
	// fenced is what was known when the commit under way on this broker began.
	fenced int64
}

// storedAfter is longer than a broker gathers offsets before it stores them.
const storedAfter = time.Second

// noOffset stands for a group without an offset.
const noOffset = -1

// consumerOffset takes what happens to a group's offset. A commit that is
// confirmed makes firm what could be read before it began, of all groups on
// its broker: offsets are stored in the order in which they came. So is what was
// read a while ago. What is read during a fault may be lost with it and counts
// for nothing.
func (j *judgement) consumerOffset(e *Event) {
	c := cursor{e.Reader, e.Queue}
	m := j.groups[c]
	if m == nil {
		m = &consumerMark{firm: noOffset, known: noOffset, fenced: noOffset, early: noOffset}
		j.groups[c] = m
	}
	switch e.Kind {
	case CommitBegan:
		j.eachMark(e.Queue, func(m *consumerMark) { m.fenced = m.known })
	case CommitConfirmed:
		j.eachMark(e.Queue, func(m *consumerMark) { m.firm, m.fenced = max(m.firm, m.fenced), noOffset })
		m.firm = e.Offset
		m.know(e.Offset, &j.faults)
	case OffsetRead:
		j.counts.OffsetsRead++
		m.settle(e.At)
		if limit := max(m.firm, m.known); e.Offset < limit {
			j.found.cursor("a consumer's offset isn't lost", c, "group %d in %v is at offset %d and was at %d; confirmed was %d",
				e.Reader, e.Queue, e.Offset, limit, m.firm)
			m.firm = e.Offset // one report is enough
		}
		m.know(e.Offset, &j.faults)
		if j.rules.Handovers {
			m.known = noOffset
		}
		if m.early == noOffset && j.faults.active() == 0 {
			m.early, m.earlyAt = e.Offset, e.At
		}
	}
}

// settle makes firm what was read a while ago.
func (m *consumerMark) settle(now time.Duration) {
	if m.early != noOffset && now-m.earlyAt > storedAfter {
		m.firm, m.early = max(m.firm, m.early), noOffset
	}
}

func (m *consumerMark) know(offset int64, f *faults) {
	m.known = noOffset
	if f.active() == 0 {
		m.known = offset
	}
}

// eachMark visits the groups on the broker of a queue.
func (j *judgement) eachMark(q Queue, visit func(*consumerMark)) {
	for c, m := range j.groups {
		if c.queue/QueuesEach == q/QueuesEach {
			visit(m)
		}
	}
}

// faultBegan forgets what a fault may take.
func (j *judgement) faultBegan(e *Event) {
	j.faults.begin(e)
	for _, m := range j.groups {
		m.known, m.fenced, m.early = noOffset, noOffset, noOffset
	}
}
