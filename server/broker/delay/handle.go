package delay

import (
	"encoding/base64"
	"errors"
	"strconv"
	"strings"

	"github.com/apogeemq/apogee/engine/event"
)

// Handle names a waiting message for whoever recalls it.
type Handle struct {
	Topic     string // the real one
	Broker    string // its name
	Due       int64  // Unix milliseconds
	UniqueKey string
	Waiting   event.Position // of the event that waits
}

const (
	handleVersion   = "v1"
	handleItems     = 6
	handleSeparator = " "
	handleBytesMax  = 4096
	// handleAfter is how much later than the message RocketMQ dates a handle.
	handleAfter = 1
)

// ErrHandle marks texts that are no handles of this broker.
var ErrHandle = errors.New("recall handle is invalid")

// AppendHandle appends the text that producers get, RocketMQ's with one item
// more, which its clients don't look at: where the waiting event stands. So a
// recall finds the message without a search, and can tell if there is none.
func AppendHandle(dst []byte, h Handle) []byte {
	raw := make([]byte, 0, 256)
	for _, item := range [...]string{handleVersion, h.Topic, h.Broker} {
		raw = append(append(raw, item...), handleSeparator...)
	}
	raw = append(strconv.AppendInt(raw, h.Due+handleAfter, 10), handleSeparator...)
	raw = append(append(raw, h.UniqueKey...), handleSeparator...)
	raw = strconv.AppendUint(raw, uint64(h.Waiting), 10)
	return base64.URLEncoding.AppendEncode(dst, raw)
}

// ParseHandle reads a text that AppendHandle made. The error is ErrHandle.
func ParseHandle(text []byte) (Handle, error) {
	if len(text) > handleBytesMax {
		return Handle{}, ErrHandle
	}
	raw, err := base64.URLEncoding.DecodeString(string(text))
	if err != nil {
		return Handle{}, ErrHandle
	}
	items := strings.Split(string(raw), handleSeparator)
	if len(items) != handleItems || items[0] != handleVersion {
		return Handle{}, ErrHandle
	}
	due, err := strconv.ParseInt(items[3], 10, 64)
	if err != nil || due <= handleAfter {
		return Handle{}, ErrHandle
	}
	waiting, err := strconv.ParseUint(items[5], 10, 64)
	if err != nil {
		return Handle{}, ErrHandle
	}
	return Handle{Topic: items[1], Broker: items[2], Due: due - handleAfter, UniqueKey: items[4], Waiting: event.Position(waiting)}, nil
}
