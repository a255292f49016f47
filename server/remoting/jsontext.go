package remoting

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

// textProbeBytes is how far text looks byte by byte, which is faster than a
// vectorised search for the short names and numbers that most strings are.
const textProbeBytes = 16

// text is the string at the cursor, which stands on its opening quote.
func (d *jsonDecoder) text() []byte {
	from := d.at + 1
	for i, ch := range d.b[from:min(from+textProbeBytes, len(d.b))] {
		switch ch {
		case '"':
			d.at = from + i + 1
			return d.b[from : from+i : from+i]
		case '\\':
			return d.unescape(from)
		}
	}
	n := bytes.IndexByte(d.b[from:], '"')
	if n < 0 {
		d.fail("a string is not closed")
		return nil
	}
	if bytes.IndexByte(d.b[from:from+n], '\\') >= 0 {
		return d.unescape(from)
	}
	d.at = from + n + 1
	return d.b[from : from+n : from+n]
}

// unescape resolves the escapes of the string that begins at from, in place.
func (d *jsonDecoder) unescape(from int) []byte {
	to := from
	for at := from; at < len(d.b); {
		switch ch := d.b[at]; ch {
		case '"':
			d.at = at + 1
			return d.b[from:to:to]
		case '\\':
			read, written := unescapeOne(d.b[at:], d.b[to:])
			if read == 0 {
				d.at = at
				d.fail("bad escape")
				return nil
			}
			at += read
			to += written
		default:
			d.b[to] = ch
			at++
			to++
		}
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
