package nameserver

import (
	"strconv"
	"unicode/utf8"
)

// dialect is how JSON is written.
type dialect uint8

const (
	// fastjson leaves numeric keys of maps without quotes.
	fastjson dialect = iota
	// standard quotes all keys and keeps to ASCII.
	standard
)

const hexDigits = "0123456789abcdef"

// appendText writes a JSON string.
func (d dialect) appendText(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			dst = appendASCII(dst, c)
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if d == fastjson && r != utf8.RuneError {
			dst = append(dst, s[i:i+size]...)
		} else {
			dst = appendEscaped(dst, r)
		}
		i += size
	}
	return append(dst, '"')
}

func appendASCII(dst []byte, c byte) []byte {
	switch {
	case c == '"' || c == '\\':
		return append(dst, '\\', c)
	case c < ' ' || c == 0x7f:
		return append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
	}
	return append(dst, c)
}

// appendEscaped writes one rune as one or two \u escapes.
func appendEscaped(dst []byte, r rune) []byte {
	if r > 0xffff {
		r -= 0x10000
		dst = appendEscaped(dst, 0xd800+(r>>10))
		r = 0xdc00 + r&0x3ff
	}
	return append(dst, '\\', 'u', hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

// appendMember writes "name": with a comma before it unless it is the first.
func (d dialect) appendMember(dst []byte, name string) []byte {
	dst = appendComma(dst)
	dst = d.appendText(dst, name)
	return append(dst, ':')
}

// appendNumericKey writes a map key that is a number.
func (d dialect) appendNumericKey(dst []byte, key int64) []byte {
	dst = appendComma(dst)
	if d == fastjson {
		dst = strconv.AppendInt(dst, key, 10)
	} else {
		dst = append(dst, '"')
		dst = strconv.AppendInt(dst, key, 10)
		dst = append(dst, '"')
	}
	return append(dst, ':')
}

func (d dialect) appendTextMember(dst []byte, name, value string) []byte {
	return d.appendText(d.appendMember(dst, name), value)
}

func (d dialect) appendIntMember(dst []byte, name string, value int64) []byte {
	return strconv.AppendInt(d.appendMember(dst, name), value, 10)
}

func (d dialect) appendBoolMember(dst []byte, name string, value bool) []byte {
	return strconv.AppendBool(d.appendMember(dst, name), value)
}

// appendComma separates a member or element from the one before it.
func appendComma(dst []byte) []byte {
	if n := len(dst); n > 0 && dst[n-1] != '{' && dst[n-1] != '[' {
		return append(dst, ',')
	}
	return dst
}
