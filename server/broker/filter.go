package broker

import (
	"bytes"
	"slices"

	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/broker/selector"
	"github.com/apogeemq/apogee/server/remoting"
)

const (
	expressionAll  = "*"
	expressionTag  = "TAG"
	tagSeparator   = "||"
	tagsPerPullMax = 4096
)

// filter chooses messages by their tag codes. As in RocketMQ it sees the codes
// only; the consumer compares the tags themselves. The zero value matches no
// message.
type filter struct {
	all      bool
	codes    []int32            // sorted
	selector *selector.Selector // decides on what the codes let through; nil lets all through
}

func (f *filter) matches(tag int32) bool {
	if f.all {
		return true
	}
	_, found := slices.BinarySearch(f.codes, tag)
	return found
}

// parse reads a tag expression: "*" or nothing for all messages, else tags
// separated by "||". It uses the space that codes has.
func (f *filter) parse(expression []byte) error {
	f.codes = f.codes[:0]
	expression = trim(expression)
	f.all = len(expression) == 0 || string(expression) == expressionAll
	for rest := expression; !f.all && len(rest) > 0; {
		var tag []byte
		tag, rest, _ = bytes.Cut(rest, []byte(tagSeparator))
		if tag = trim(tag); len(tag) > 0 {
			f.codes = append(f.codes, record.TagCode(tag))
		}
	}
	if !f.all && (len(f.codes) == 0 || len(f.codes) > tagsPerPullMax) {
		return refuse(remoting.ResponseSubscriptionParseFailed,
			"parse the consumer's subscription failed: %d tags, 1 to %d are allowed", len(f.codes), tagsPerPullMax)
	}
	slices.Sort(f.codes)
	return nil
}

// trim removes what Java's String.trim removes.
func trim(b []byte) []byte {
	return bytes.TrimFunc(b, func(r rune) bool { return r <= ' ' })
}
