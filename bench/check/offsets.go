package check

// consumerMark is what must be remembered of a group in a queue.
type consumerMark struct {
	firm  int64 // no fault may take it
	known int64 // read since the last fault
	// fenced is what was known when the commit under way on this broker began.
	fenced int64
}

// noOffset stands for a group without an offset.
const noOffset = -1

// consumerOffset takes what happens to a group's offset. A commit that is
// confirmed makes firm what could be read before it began, of all groups on
// its broker: offsets are stored in the order in which they came. What is read
// during a fault may be lost with it and counts for nothing.
func (j *judgement) consumerOffset(e *Event) {
	c := cursor{e.Reader, e.Queue}
	m := j.groups[c]
	if m == nil {
		m = &consumerMark{firm: noOffset, known: noOffset, fenced: noOffset}
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
		if limit := max(m.firm, m.known); e.Offset < limit {
			j.found.cursor("a consumer's offset isn't lost", c, "group %d in %v is at offset %d and was at %d; confirmed was %d",
				e.Reader, e.Queue, e.Offset, limit, m.firm)
			m.firm = e.Offset // one report is enough
		}
		m.know(e.Offset, &j.faults)
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
		m.known, m.fenced = noOffset, noOffset
	}
}
