package event

import (
	"encoding/binary"
	"fmt"
)

// NameBytesMax bounds every name in a payload: topics, groups, clients and
// attribute keys. RocketMQ's longest derived name, the pop retry topic of a
// group and a topic, stays below half of it.
const NameBytesMax = 1024

// payloadVersion is the first byte of every payload that this package
// encodes. A later layout gets a later number.
const payloadVersion = 1

// cursor reads a payload from the front. Its first error sticks, and every
// length is compared with what is left before it is used.
type cursor struct {
	what string // names the payload in errors
	all  []byte
	at   int
	err  error
}

// readPayload starts reading payload b and consumes its version.
func readPayload(what string, b []byte) *cursor {
	c := &cursor{what: what, all: b}
	if len(b) == 0 {
		c.fail("no version byte in an empty payload")
	} else if b[0] != payloadVersion {
		c.fail("version %d, this version reads %d", b[0], payloadVersion)
	} else {
		c.at = 1
	}
	return c
}

func (c *cursor) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("%w: decode %s: byte %d of %d: %s", ErrCorrupt, c.what, c.at, len(c.all), fmt.Sprintf(format, args...))
	}
}

func (c *cursor) left() int { return len(c.all) - c.at }

// number reads a uvarint that is at most max. It has to be the shortest form
// of its value, so that what is decoded and encoded again has the same bytes.
func (c *cursor) number(noun string, max uint64) uint64 {
	if c.err != nil {
		return 0
	}
	v, n := binary.Uvarint(c.all[c.at:])
	if n <= 0 || n > 1 && c.all[c.at+n-1] == 0 {
		c.fail("%s is cut off, too large or longer than needed", noun)
		return 0
	}
	if v > max {
		c.fail("%s is %d, at most %d is allowed", noun, v, max)
		return 0
	}
	c.at += n
	return v
}

// count reads how many items follow, each of which takes itemBytesMin bytes
// or more, so that the answer is safe to allocate by.
func (c *cursor) count(noun string, itemBytesMin int) int {
	return int(c.number(noun, uint64(max(c.left(), 0)/itemBytesMin)))
}

// text reads a length and that many bytes, bytesMax at most.
func (c *cursor) text(noun string, bytesMax int) string {
	n := int(c.number(noun+" length", uint64(bytesMax)))
	if c.err != nil {
		return ""
	}
	if n > c.left() {
		c.fail("%s of %d bytes, with %d left", noun, n, c.left())
		return ""
	}
	s := string(c.all[c.at : c.at+n])
	c.at += n
	return s
}

// end reports the first error, or bytes that nobody asked for.
func (c *cursor) end() error {
	if c.err == nil && c.left() > 0 {
		c.fail("%d bytes too many", c.left())
	}
	return c.err
}

// textTable numbers the texts of a payload, each once, in order of first use.
type textTable struct {
	numbers map[string]uint64
	texts   []string
}

func (t *textTable) number(s string) uint64 {
	n, known := t.numbers[s]
	if !known {
		if t.numbers == nil {
			t.numbers = make(map[string]uint64)
		}
		n = uint64(len(t.texts))
		t.numbers[s] = n
		t.texts = append(t.texts, s)
	}
	return n
}

// append appends the number of texts, then the texts.
func (t *textTable) append(dst []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(t.texts)))
	for _, s := range t.texts {
		dst = appendText(dst, s)
	}
	return dst
}

// texts reads what append wrote.
func (c *cursor) texts() []string {
	texts := make([]string, c.count("number of texts", 1))
	for i := range texts {
		texts[i] = c.text("text", NameBytesMax)
	}
	return texts
}

// appendText appends the length of s and s.
func appendText(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

// checkName reports a name that no payload can carry.
func checkName(noun, name string) error {
	if name == "" || len(name) > NameBytesMax {
		return fmt.Errorf("%s of %d bytes, 1 to %d are allowed", noun, len(name), NameBytesMax)
	}
	return nil
}
