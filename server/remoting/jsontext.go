package remoting

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
)

// Eight bytes are looked at in one go: a word has a byte of zero exactly where
// hasZero sets that byte's highest bit first.
const (
	everyByte = 0x0101010101010101
	everyHigh = 0x8080808080808080
)

func hasZero(word uint64) uint64 { return (word - everyByte) &^ word & everyHigh }

// textEnd is where the first quote or backslash stands in b[from:], len(b) if
// there is none.
func textEnd(b []byte, from int) int {
	for ; from+8 <= len(b); from += 8 {
		word := binary.LittleEndian.Uint64(b[from:])
		if found := hasZero(word^everyByte*'"') | hasZero(word^everyByte*'\\'); found != 0 {
			return from + bits.TrailingZeros64(found)/8
		}
	}
	for ; from < len(b) && b[from] != '"' && b[from] != '\\'; from++ {
	}
	return from
}

// text is the string at the cursor, which stands on its opening quote.
func (d *jsonDecoder) text() []byte {
	from := d.at + 1
	end := textEnd(d.b, from)
	switch {
	case end >= len(d.b):
		d.fail("a string is not closed")
		return nil
	case d.b[end] == '\\':
		return d.unescape(from, end)
	}
	d.at = end + 1
	return d.b[from:end:end]
}

// unescape resolves the escapes of the string that begins at from, in place.
// The first one is at at.
func (d *jsonDecoder) unescape(from, at int) []byte {
	to := at
	for at < len(d.b) {
		if d.b[at] == '"' {
			d.at = at + 1
			return d.b[from:to:to]
		}
		read, written := unescapeOne(d.b[at:], d.b[to:])
		if read == 0 {
			d.at = at
			d.fail("bad escape")
			return nil
		}
		at += read
		to += written
		next := textEnd(d.b, at)
		to += copy(d.b[to:], d.b[at:next])
		at = next
	}
	d.fail("a string is not closed")
	return nil
}

// unescapeOne resolves the escape that src begins with and writes it to dst,
// which may overlap src from the left. It returns the bytes read, 0 for a bad
// escape, and the bytes written, which are never more.
func unescapeOne(src, dst []byte) (read, written int) {
	if len(src) < 2 {
		return 0, 0
	}
	switch ch := src[1]; ch {
	case '"', '\\', '/', '\'':
		dst[0] = ch
	case 'b':
		dst[0] = '\b'
	case 'f':
		dst[0] = '\f'
	case 'n':
		dst[0] = '\n'
	case 'r':
		dst[0] = '\r'
	case 't':
		dst[0] = '\t'
	case 'u':
		r, ok := hexRune(src)
		if !ok {
			return 0, 0
		}
		read = 6
		if utf16.IsSurrogate(r) {
			low, ok := hexRune(src[read:])
			r = utf16.DecodeRune(r, low) // U+FFFD unless both halves are there
			if ok && r != utf8.RuneError {
				read = 12
			}
		}
		return read, utf8.EncodeRune(dst, r)
	default:
		return 0, 0
	}
	return 2, 1
}

// hexRune reads \uXXXX at the start of b.
func hexRune(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, ch := range b[2:6] {
		switch {
		case ch >= '0' && ch <= '9':
			ch -= '0'
		case ch|0x20 >= 'a' && ch|0x20 <= 'f':
			ch = ch | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(ch)
	}
	return r, true
}
