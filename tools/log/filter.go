package log

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
)

// filter says which lines dump shows.
type filter struct {
	topic    string
	from, to int64 // Unix milliseconds; to is the first one too late, 0 for none
	position int64 // of an event or of a byte in it; -1 for all
	kinds    []string
	limit    int64 // lines; 0 for all
}

// parseTime reads RFC 3339 or Unix milliseconds. "" is 0.
func parseTime(flag, text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil && ms >= 0 {
		return ms, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.UnixMilli() < 0 {
		return 0, fmt.Errorf("--%s %q is not allowed: use RFC 3339 (2026-01-31T12:00:00Z) or Unix milliseconds", flag, text)
	}
	return t.UnixMilli(), nil
}

// kindNames are all kinds of events, and of frames without events.
func kindNames() []string {
	var names []string
	for k := event.Kind(1); k.Known(); k++ {
		names = append(names, k.String())
	}
	for _, k := range []commitlog.FrameKind{commitlog.FrameConfiguration, commitlog.FrameNoop, commitlog.FrameBarrier} {
		names = append(names, k.String())
	}
	return names
}

func (f *filter) check() error {
	for _, k := range f.kinds {
		if !slices.Contains(kindNames(), k) {
			return fmt.Errorf("--kind %q is not allowed: use %s", k, strings.Join(kindNames(), ", "))
		}
	}
	switch {
	case f.position < -1:
		return fmt.Errorf("--position %d is not allowed: use 0 or more", f.position)
	case f.limit < 0:
		return fmt.Errorf("--limit %d is not allowed: use 0 (all) or more", f.limit)
	}
	return nil
}

// passed reports whether nothing after the line can be wanted: positions and
// times only grow.
func (f *filter) passed(l *line) bool {
	return f.position >= 0 && l.Position > event.Position(f.position) || f.to > 0 && l.Timestamp >= f.to
}

// wants decides by the envelope, whose event has the given size in bytes.
func (f *filter) wants(l *line, size int) bool {
	switch {
	case f.passed(l) || l.Timestamp < f.from:
		return false
	case f.position >= 0 && l.Position+event.Position(size) <= event.Position(f.position):
		return false
	}
	return len(f.kinds) == 0 || slices.Contains(f.kinds, l.Kind)
}

// wantsTopic decides by the topic, after the payload is decoded: that may be
// where the name is.
func (f *filter) wantsTopic(l *line) bool {
	return f.topic == "" || l.Topic == f.topic || l.Config != nil && l.Config.Name == f.topic
}
