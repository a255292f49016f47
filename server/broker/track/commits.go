package track

import (
	"errors"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
)

// Clients named in commits that administrators make.
const (
	ClientOfResets = "offset reset"
	ClientOfCopies = "offset copy"
)

const (
	// eventsPerSearch bounds the events that are read to find one commit:
	// halving needs some dozens, the rest is for hashes that collide.
	eventsPerSearch = 4096
	// firstStep is how far behind a message its acknowledgment is looked for
	// first, in bytes of log.
	firstStep = 64 << 10
)

var errTooMany = errors.New("too many events have the hash")

// commit is what one event says about the offset of a group in a queue.
type commit struct {
	position event.Position
	time     int64
	offset   event.Offset
	client   string
}

// commitSearch looks for commits of a group in a queue.
type commitSearch struct {
	log   Log
	group string
	queue event.Queue
	left  int // events that may still be read
}

func newCommitSearch(log Log, group string, queue event.Queue) *commitSearch {
	return &commitSearch{log: log, group: group, queue: queue, left: eventsPerSearch}
}

// visit visits the commits in [from, to) among the events with a hash, newest
// first, until it is told to stop.
func (s *commitSearch) visit(hash uint64, from, to event.Position, visit func(commit) (more bool)) error {
	return s.log.FindHash(hash, from, to, func(m engine.Message) (bool, error) {
		if s.left--; s.left < 0 {
			return false, errTooMany
		}
		if m.Event.Kind() != event.KindOffsets {
			return true, nil
		}
		commits, err := event.DecodeOffsetCommits(m.Event.Payload())
		if err != nil {
			return false, err
		}
		for i := range commits {
			if c := &commits[i]; c.Group == s.group && c.Queue == s.queue {
				return visit(commit{m.Position, m.Timestamp, c.Offset, c.Client}), nil
			}
		}
		return true, nil
	})
}

// last is the last commit in [from, to) among the events with a hash.
func (s *commitSearch) last(hash uint64, from, to event.Position) (last commit, found bool, err error) {
	err = s.visit(hash, from, to, func(c commit) bool {
		last, found = c, true
		return false
	})
	return last, found, err
}

// passing finds the commit with which the group passed offset o, whose message
// stands at stored; before end it has not gone back to o since. found is false
// where the commit is not recorded.
func (s *commitSearch) passing(o event.Offset, stored, end event.Position) (a Acknowledgment, found bool, err error) {
	first, _, err := s.last(event.FirstCommitHash(s.group, s.queue), 0, end)
	if err != nil {
		return a, false, err
	}
	begin := first.position
	err = s.visit(event.SetBackHash(s.group, s.queue), begin, end, func(c commit) bool {
		if c.offset <= o {
			begin = c.position
		}
		return c.offset > o
	})
	if err != nil {
		return a, false, err
	}
	best, found, err := s.firstPast(o, begin, max(begin, stored), end)
	if err != nil || !found {
		return a, false, err
	}
	a = Acknowledgment{Time: best.time, Client: best.client, From: -1, To: best.offset, Exact: true, Position: best.position}
	before, found, err := s.last(event.CommitHash(s.group, s.queue), first.position, best.position)
	if found {
		a.From = before.offset
	}
	return a, true, err
}

// firstPast finds the first commit past an offset in [begin, end), where once
// one is past it all are. It is most likely soon behind stored.
func (s *commitSearch) firstPast(o event.Offset, begin, stored, end event.Position) (best commit, found bool, err error) {
	hash := event.CommitHash(s.group, s.queue)
	past := func(from, to event.Position) (bool, error) {
		c, found, err := s.last(hash, from, to)
		if err != nil || !found || c.offset <= o {
			return false, err
		}
		best = c
		return true, nil
	}
	if some, err := past(begin, end); !some || err != nil {
		return best, false, err
	}
	from, step := stored, event.Position(firstStep)
	if early, err := past(begin, stored); err != nil {
		return best, false, err
	} else if early {
		from = begin
	}
	for some := false; !some && from+step < best.position; step *= 2 {
		if some, err = past(from, from+step); err != nil {
			return best, false, err
		}
		if !some {
			from += step
		}
	}
	for from < best.position {
		middle := from + (best.position-from+1)/2
		some, err := past(from, middle)
		if err != nil {
			return best, false, err
		}
		if !some {
			from = middle
		}
	}
	return best, true, nil
}
