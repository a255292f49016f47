package duty

import (
	"slices"
	"time"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
)

// Rules say what retention keeps. The zero value of a limit is no limit.
type Rules struct {
	Keep            time.Duration // fileReservedTime: segments older than this go
	Hours           []int         // deleteWhen: hours of the day in which they do
	ExpirePercent   int           // diskMaxUsedSpaceRatio: above it they do at any hour
	ForciblePercent int           // diskSpaceCleanForciblyRatio: above it young segments go, too
	SizeBytes       int64         // commitLogSizeMax
}

// situation is what a decision depends on.
type situation struct {
	now       time.Time
	sealed    []commitlog.Sealed // oldest first
	trimmed   event.Index        // dropped by decisions so far
	fileBytes int64              // of the log, what is still being removed included
	total     uint64             // bytes of the disk
	free      uint64
}

// decide returns what is to go. false: nothing.
func (r *Rules) decide(s situation) (event.Trim, bool) {
	kept, leaving := s.sealed, int64(0)
	for len(kept) > 0 && kept[0].Last <= s.trimmed {
		leaving += kept[0].FileBytes
		kept = kept[1:]
	}
	used := int64(s.total-min(s.free, s.total)) - leaving
	count, cause := r.expired(kept, s.now, r.isHour(s.now) || above(used, s.total, r.ExpirePercent)), event.TrimByAge
	if r.SizeBytes > 0 {
		if n := covering(kept, s.fileBytes-leaving-r.SizeBytes); n > count {
			count, cause = n, event.TrimBySize
		}
	}
	if above(used, s.total, r.ForciblePercent) {
		if n := covering(kept, used-share(s.total, r.ForciblePercent)); n > count {
			count, cause = n, event.TrimBySpace
		}
	}
	if count == 0 {
		return event.Trim{}, false
	}
	last := kept[count-1]
	return event.Trim{Through: last.Last, Position: last.End, Cause: cause}, true
}

// isHour reports whether old segments go at this time of the day.
func (r *Rules) isHour(now time.Time) bool { return slices.Contains(r.Hours, now.Hour()) }

// expired counts the segments that are too old, if it is time for that.
func (r *Rules) expired(kept []commitlog.Sealed, now time.Time, isTime bool) int {
	if !isTime || r.Keep == 0 {
		return 0
	}
	limit, n := now.Add(-r.Keep).UnixMilli(), 0
	for n < len(kept) && kept[n].Timestamp < limit {
		n++
	}
	return n
}

// covering counts the oldest segments that have so many bytes together; all
// when they don't.
func covering(kept []commitlog.Sealed, bytes int64) int {
	n := 0
	for ; n < len(kept) && bytes > 0; n++ {
		bytes -= kept[n].FileBytes
	}
	return n
}

// above reports whether more than so many percent are used; no limit is 0.
func above(used int64, total uint64, percent int) bool {
	return percent > 0 && used > share(total, percent)
}

func share(total uint64, percent int) int64 { return int64(total / 100 * uint64(percent)) }
