package broker

import "slices"

// counts are totals of something.
type counts struct{ messages, bytes uint64 }

// window is the last totals at even intervals: a ring.
type window struct {
	samples []counts
	times   []int64 // Unix milliseconds
	last    int
	count   int
}

// The windows that RocketMQ's StatsItem keeps: seven samples of 10 s, seven of
// 10 minutes, 25 of an hour.
const (
	minuteSamples = 7
	hourSamples   = 7
	daySamples    = 25
	hourEvery     = 60  // samples of 10 s
	dayEvery      = 360 // samples of 10 s
)

func newWindow(size int) window {
	return window{samples: make([]counts, size), times: make([]int64, size)}
}

func (w *window) add(c counts, millis int64) {
	w.last = (w.last + 1) % len(w.samples)
	w.samples[w.last], w.times[w.last] = c, millis
	w.count = min(w.count+1, len(w.samples))
}

// change is by how much the totals have grown within the window, and the time
// that took.
func (w *window) change() (counts, int64) {
	if w.count < 2 {
		return counts{}, 0
	}
	first := (w.last - w.count + 1 + len(w.samples)) % len(w.samples)
	a, b := w.samples[first], w.samples[w.last]
	return counts{b.messages - a.messages, b.bytes - a.bytes}, w.times[w.last] - w.times[first]
}

// pastCounts are totals over the last minute, hour and day.
type pastCounts struct {
	minute, hour, day window
	measured          int
}

func newPastCounts() *pastCounts {
	return &pastCounts{minute: newWindow(minuteSamples), hour: newWindow(hourSamples), day: newWindow(daySamples)}
}

// add takes the totals of a moment; it is called every rateWindow.
func (p *pastCounts) add(c counts, millis int64) {
	p.minute.add(c, millis)
	if p.measured%hourEvery == 0 {
		p.hour.add(c, millis)
	}
	if p.measured%dayEvery == 0 {
		p.day.add(c, millis)
	}
	p.measured++
}

// clone is a copy that stays.
func (p *pastCounts) clone() pastCounts {
	c := *p
	for _, w := range []*window{&c.minute, &c.hour, &c.day} {
		w.samples, w.times = slices.Clone(w.samples), slices.Clone(w.times)
	}
	return c
}

// rate is the messages per second over the last interval.
func (p *pastCounts) rate() float64 {
	w := &p.minute
	if w.count < 2 {
		return 0
	}
	before := (w.last - 1 + len(w.samples)) % len(w.samples)
	passed := w.times[w.last] - w.times[before]
	if passed <= 0 {
		return 0
	}
	return float64(w.samples[w.last].messages-w.samples[before].messages) * 1000 / float64(passed)
}
