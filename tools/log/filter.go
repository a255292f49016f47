package log

import (
	"fmt"
	"slices"
	"strings"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/tools/message"
)

// filter says which lines dump shows.
type filter struct {
	topic    string
	from, to int64 // Unix milliseconds; to is the first one too late, 0 for none
	position int64 // of an event or of a byte in it; -1 for all
	kinds    []string
	limit    int64 // lines; 0 for all
}

// parseTime is message.ParseTime; "" is 0.
func parseTime(flag, text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	return message.ParseTime("--"+flag, text)
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
