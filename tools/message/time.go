package message

import (
	"fmt"
	"strconv"
	"time"
)

// TimeText writes Unix milliseconds for people, in UTC.
func TimeText(millis int64) string {
	return time.UnixMilli(millis).UTC().Format("2006-01-02T15:04:05.000Z")
}

// ParseTime reads RFC 3339 or Unix milliseconds into Unix milliseconds. what
// names the text in the error.
func ParseTime(what, text string) (int64, error) {
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil && ms >= 0 {
		return ms, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.UnixMilli() < 0 {
		return 0, fmt.Errorf("%s %q is not allowed: use RFC 3339 (2026-01-31T12:00:00Z) or Unix milliseconds", what, text)
	}
	return t.UnixMilli(), nil
}
