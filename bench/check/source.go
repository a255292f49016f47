package check

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Gap is a time without SEND_OK.
type Gap struct {
	From, To time.Duration
	Faults   []string // that were there in that time
}

// Length of the gap.
func (g Gap) Length() time.Duration { return g.To - g.From }

// String is the gap for people.
func (g Gap) String() string {
	text := fmt.Sprintf("%.3f s, from %.3f s to %.3f s", g.Length().Seconds(), g.From.Seconds(), g.To.Seconds())
	if len(g.Faults) > 0 {
		text += "; " + strings.Join(g.Faults, ", ")
	}
	return text
}

// source is where sends come from: all writers of one kind of producer.
type source struct {
	name     string
	began    bool
	ended    bool
	last     time.Duration // of SEND_OK, or of the first send
	longest  Gap
	sent     uint64
	statuses [statusesEnd]uint64
}

func (s *source) begin(at time.Duration) {
	s.sent++
	if !s.began {
		s.began, s.last = true, at
	}
}

func (s *source) end(e *Event) {
	s.statuses[e.Status]++
	if e.Status == OK {
		s.reach(e.At)
	}
}

// reach ends the gap that is open at some time.
func (s *source) reach(at time.Duration) {
	if s.ended {
		return
	}
	if at-s.last > s.longest.Length() {
		s.longest = Gap{From: s.last, To: at}
	}
	s.last = at
}

// sources are all of them, by name.
type sources []*source

func (list *sources) named(name string) *source {
	for _, s := range *list {
		if s.name == name {
			return s
		}
	}
	s := &source{name: name}
	*list = append(*list, s)
	return s
}

// close ends the measurement: answers that come later don't count.
func (list sources) close(at time.Duration) {
	for _, s := range list {
		if s.began {
			s.reach(at)
		}
		s.ended = true
	}
}

// window is the time of a fault.
type window struct {
	id       uint32
	text     string
	from, to time.Duration // to is 0 while it is there
}

// windowsMax bounds the faults that are remembered for gaps.
const windowsMax = 100_000

type faults struct {
	windows []window
	open    []int // indexes
	total   uint64
}

func (f *faults) active() int { return len(f.open) }

func (f *faults) begin(e *Event) {
	f.total++
	if len(f.windows) < windowsMax {
		f.open = append(f.open, len(f.windows))
		f.windows = append(f.windows, window{id: e.Fault, text: e.Text, from: e.At})
	}
}

func (f *faults) end(e *Event) {
	f.open = slices.DeleteFunc(f.open, func(i int) bool {
		if f.windows[i].id != e.Fault {
			return false
		}
		f.windows[i].to = e.At
		return true
	})
}

// during names the faults that were there in a time, the latest of many.
func (f *faults) during(from, to time.Duration) []string {
	const enough = 5
	var names []string
	for i := len(f.windows) - 1; i >= 0 && len(names) < enough; i-- {
		if w := f.windows[i]; w.from <= to && (w.to == 0 || w.to >= from) {
			names = append(names, w.text)
		}
	}
	slices.Reverse(names)
	return names
}
