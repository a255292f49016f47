package duty

import (
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
)

const gib = 1 << 30

var four = time.Date(2025, 5, 6, 4, 30, 0, 0, time.UTC)

// segments returns sealed segments of 1 GiB and 100 frames, one for each age in
// hours of its newest frame.
func segments(ages ...int) []commitlog.Sealed {
	var all []commitlog.Sealed
	for i, age := range ages {
		n := i + 1
		all = append(all, commitlog.Sealed{Last: event.Index(100 * n), End: event.Position(1000 * n),
			Timestamp: four.Add(-time.Duration(age) * time.Hour).UnixMilli(), FileBytes: gib})
	}
	return all
}

func TestRetentionFollowsAgeHourSpaceAndSize(t *testing.T) {
	t.Parallel()
	rules := Rules{Keep: 72 * time.Hour, Hours: []int{4, 16}, ExpirePercent: 75, ForciblePercent: 85}
	small := rules
	small.SizeBytes = 3 * gib
	gentle := rules
	gentle.ForciblePercent = 0
	for _, c := range []struct {
		name    string
		rules   Rules
		ages    []int
		hour    int // added to 4:30
		trimmed event.Index
		used    uint64 // of 100 GiB
		through event.Index
		cause   event.TrimCause
	}{
		{"nothing is old", rules, []int{70, 50}, 0, 0, 50, 0, 0},
		{"what is old goes at four", rules, []int{100, 80, 50}, 0, 0, 50, 200, event.TrimByAge},
		{"and at the other hour", rules, []int{100, 80, 50}, 12, 0, 50, 200, event.TrimByAge},
		{"not at another hour", rules, []int{100, 80, 50}, 1, 0, 50, 0, 0},
		{"but on a disk that fills", rules, []int{100, 80, 50}, 1, 0, 76, 200, event.TrimByAge},
		{"a disk that fills takes nothing young", rules, []int{50, 40}, 1, 0, 84, 0, 0},
		{"a full disk does, as much as is needed", rules, []int{50, 40, 30, 20}, 1, 0, 87, 200, event.TrimBySpace},
		{"all there is", rules, []int{50, 40}, 1, 0, 99, 200, event.TrimBySpace},
		{"unless that is turned off", gentle, []int{50, 40}, 1, 0, 99, 0, 0},
		{"what is being removed counts as free", rules, []int{50, 40, 30, 20}, 1, 200, 87, 0, 0},
		{"and is not dropped twice", rules, []int{100, 90, 80, 20}, 0, 200, 50, 300, event.TrimByAge},
		{"a log that is too long", small, []int{5, 4, 3, 2}, 1, 0, 50, 200, event.TrimBySize},
		{"with a part that is being removed", small, []int{5, 4, 3, 2}, 1, 100, 50, 200, event.TrimBySize},
		{"age says more than size", small, []int{90, 90, 90, 2}, 0, 0, 50, 300, event.TrimByAge},
		{"no segment is sealed", rules, nil, 0, 0, 99, 0, 0},
	} {
		s := situation{now: four.Add(time.Duration(c.hour) * time.Hour), sealed: segments(c.ages...), trimmed: c.trimmed,
			fileBytes: gib * int64(len(c.ages)+1), total: 100 * gib, free: (100 - c.used) * gib}
		got, any := c.rules.decide(s)
		if any != (c.through > 0) || got.Through != c.through || got.Cause != c.cause || any && got.Position != event.Position(10*c.through) {
			t.Errorf("%s: %+v, expected frame %d, cause %v", c.name, got, c.through, c.cause)
		}
	}
}

func TestWithoutLimitsNothingGoes(t *testing.T) {
	t.Parallel()
	s := situation{now: four, sealed: segments(1000, 999), fileBytes: 3 * gib, total: 100, free: 0}
	if trim, any := (&Rules{}).decide(s); any {
		t.Fatalf("%+v goes", trim)
	}
}
