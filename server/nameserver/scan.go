package nameserver

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds the nesting of what is read. Registrations need six levels.
const maxDepth = 32

var errSyntax = errors.New("malformed JSON")

// scanner reads JSON as fastjson writes it: numbers and whole objects may be
// keys, and strings know a few escapes of Java. It builds no tree: the caller
// takes what it knows and skips the rest, so memory is what the caller keeps.
//
// The first error sticks: later calls return zero values and move no further.
type scanner struct {
	data  []byte
	at    int
	depth int
	err   error
}

func (s *scanner) fail(what string) {
	if s.err == nil {
		s.err = fmt.Errorf("%w: %s at byte %d", errSyntax, what, s.at)
	}
	s.at = len(s.data)
}

// peek skips white space and returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	for s.at < len(s.data) {
		switch c := s.data[s.at]; c {
		case ' ', '\t', '\n', '\r':
			s.at++
		default:
			return c
		}
	}
	return 0
}

func (s *scanner) expect(c byte) bool {
	if s.err != nil {
		return false
	}
	if s.peek() != c {
		s.fail("expected " + strconv.QuoteRune(rune(c)))
		return false
	}
	s.at++
	return true
}

func (s *scanner) enter(open byte) bool {
	if !s.expect(open) {
		return false
	}
	if s.depth++; s.depth > maxDepth {
		s.fail("nested too deeply")
		return false
	}
	return true
}

// null takes a null, if there is one.
func (s *scanner) null() bool {
	if s.err == nil && s.peek() == 'n' && bytes.HasPrefix(s.data[s.at:], []byte("null")) {
		s.at += len("null")
		return true
	}
	return false
}

// object calls member for each key; member must read or skip the value. A key
// that is an object itself comes as "". A null is an object without members.
func (s *scanner) object(member func(key string)) {
	if s.null() || !s.enter('{') {
		return
	}
	for first := true; s.err == nil; first = false {
		if s.peek() == '}' {
			s.at++
			s.depth--
			return
		}
		if !first && !s.expect(',') {
			return
		}
		key := s.key()
		if s.expect(':') {
			member(key)
		}
	}
}

// array calls element before each element; element must read or skip it.
func (s *scanner) array(element func()) {
	if s.null() || !s.enter('[') {
		return
	}
	for first := true; s.err == nil; first = false {
		if s.peek() == ']' {
			s.at++
			s.depth--
			return
		}
		if !first && !s.expect(',') {
			return
		}
		element()
	}
}

func (s *scanner) key() string {
	switch c := s.peek(); {
	case s.err != nil:
		return ""
	case c == '"':
		return s.text()
	case c == '{':
		s.skip()
		return ""
	default:
		return string(s.word())
	}
}

// word takes a number, true, false or a bare key.
func (s *scanner) word() []byte {
	s.peek()
	start := s.at
	for s.at < len(s.data) {
		c := s.data[s.at]
		if c != '-' && c != '+' && c != '.' && c != '_' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			break
		}
		s.at++
	}
	if s.at == start {
		s.fail("expected a value")
		return nil
	}
	return s.data[start:s.at]
}

// text reads a string; a null is "".
func (s *scanner) text() string {
	if s.null() || !s.expect('"') {
		return ""
	}
	start := s.at
	for s.at < len(s.data) {
		switch s.data[s.at] {
		case '"':
			s.at++
			return string(s.data[start : s.at-1])
		case '\\':
			return s.escapedText(start)
		}
		s.at++
	}
	s.fail("unfinished string")
	return ""
}

// escapedText goes on with a string that has its first escape here.
func (s *scanner) escapedText(start int) string {
	out := append([]byte(nil), s.data[start:s.at]...)
	for s.at < len(s.data) {
		c := s.data[s.at]
		s.at++
		switch c {
		case '"':
			return string(out)
		case '\\':
			out = s.escape(out)
		default:
			out = append(out, c)
		}
	}
	s.fail("unfinished string")
	return ""
}

// escape reads what follows a backslash.
func (s *scanner) escape(out []byte) []byte {
	if s.at >= len(s.data) {
		s.fail("unfinished escape")
		return out
	}
	c := s.data[s.at]
	s.at++
	switch c {
	case 'b':
		return append(out, '\b')
	case 'f':
		return append(out, '\f')
	case 'n':
		return append(out, '\n')
	case 'r':
		return append(out, '\r')
	case 't':
		return append(out, '\t')
	case 'v':
		return append(out, '\v')
	case 'x':
		return utf8.AppendRune(out, s.hex(2))
	case 'u':
		r := s.hex(4)
		if utf16.IsSurrogate(r) && bytes.HasPrefix(s.data[s.at:], []byte(`\u`)) {
			s.at += 2
			r = utf16.DecodeRune(r, s.hex(4))
		}
		return utf8.AppendRune(out, r)
	}
	if c >= '0' && c <= '7' {
		return append(out, c-'0')
	}
	return append(out, c)
}

func (s *scanner) hex(digits int) rune {
	if len(s.data)-s.at < digits {
		s.fail("unfinished escape")
		return utf8.RuneError
	}
	v, err := strconv.ParseUint(string(s.data[s.at:s.at+digits]), 16, 32)
	if err != nil {
		s.fail("bad escape")
		return utf8.RuneError
	}
	s.at += digits
	return rune(v)
}

// scalar is the text of a string, number, true or false; null is "".
func (s *scanner) scalar() string {
	if s.err != nil || s.null() {
		return ""
	}
	if s.peek() == '"' {
		return s.text()
	}
	return string(s.word())
}

// integer reads a whole number between low and high, also one in quotes. A
// null leaves fallback.
func (s *scanner) integer(low, high, fallback int64) int64 {
	word := s.scalar()
	if s.err != nil || word == "" {
		return fallback
	}
	v, err := strconv.ParseInt(word, 10, 64)
	if err != nil || v < low || v > high {
		s.fail(fmt.Sprintf("number %.32q is not between %d and %d", word, low, high))
		return fallback
	}
	return v
}

// skip passes over one value of any kind.
func (s *scanner) skip() {
	switch s.peek() {
	case '{':
		s.object(func(string) { s.skip() })
	case '[':
		s.array(s.skip)
	case '"':
		s.text()
	default:
		s.word()
	}
}

// end checks that nothing follows.
func (s *scanner) end() error {
	if s.peek(); s.err == nil && s.at < len(s.data) {
		s.fail("text after the end")
	}
	return s.err
}
