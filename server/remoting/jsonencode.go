package remoting

import (
	"strconv"
	"unicode/utf8"
)

// jsonSender is what every header says of us.
var jsonSender = `,"language":"JAVA","version":` + strconv.Itoa(Version) + `,"opaque":`

// appendJSONHead appends a JSON header up to its fields: an open object.
func appendJSONHead(dst []byte, h head) []byte {
	dst = append(dst, `{"code":`...)
	dst = strconv.AppendInt(dst, int64(h.code), 10)
	dst = append(dst, jsonSender...)
	dst = strconv.AppendInt(dst, int64(h.opaque), 10)
	dst = append(dst, `,"flag":`...)
	dst = strconv.AppendInt(dst, int64(h.flag), 10)
	if h.remark != "" {
		dst = append(dst, `,"remark":`...)
		dst = appendJSONText(dst, h.remark)
	}
	return append(dst, `,"serializeTypeCurrentRPC":"JSON"`...)
}

// appendJSONField appends field i of a header.
func appendJSONField[K, V string | []byte](dst []byte, i int, key K, value V) []byte {
	if i == 0 {
		dst = append(dst, `,"extFields":{`...)
	} else {
		dst = append(dst, ',')
	}
	dst = appendJSONText(dst, key)
	dst = append(dst, ':')
	return appendJSONText(dst, value)
}

// endJSON closes a header with the given number of fields.
func endJSON(dst []byte, fields int) []byte {
	if fields > 0 {
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// appendJSONText appends s as a JSON string. Bytes that are not UTF-8 become
// U+FFFD, which is what a Java receiver would make of them.
func appendJSONText[V string | []byte](dst []byte, s V) []byte {
	dst = append(dst, '"')
	from := 0
	for i := plainBytes(s); i < len(s); {
		ch := s[i]
		if ch >= ' ' && ch < utf8.RuneSelf && ch != '"' && ch != '\\' {
			i++
			continue
		}
		size := 1
		if ch >= utf8.RuneSelf {
			if size = runeBytes(s[i:]); size > 1 {
				i += size
				continue
			}
			size = 1
		}
		dst = append(dst, s[from:i]...)
		dst = appendEscape(dst, ch)
		i += size
		from = i
	}
	dst = append(dst, s[from:]...)
	return append(dst, '"')
}

// plainBytes is how many bytes s begins with that stand for themselves.
func plainBytes[V string | []byte](s V) int {
	i := 0
	for ; i+8 <= len(s); i += 8 {
		word := uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
			uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
		special := word | (word - everyByte*' ') | hasZero(word^everyByte*'"') | hasZero(word^everyByte*'\\')
		if special&everyHigh != 0 {
			return i
		}
	}
	for ; i < len(s) && s[i] >= ' ' && s[i] < utf8.RuneSelf && s[i] != '"' && s[i] != '\\'; i++ {
	}
	return i
}

// appendEscape appends the byte of a string that cannot stand for itself.
func appendEscape(dst []byte, ch byte) []byte {
	const hex = "0123456789abcdef"
	switch {
	case ch == '"' || ch == '\\':
		return append(dst, '\\', ch)
	case ch == '\n':
		return append(dst, '\\', 'n')
	case ch == '\r':
		return append(dst, '\\', 'r')
	case ch == '\t':
		return append(dst, '\\', 't')
	case ch >= utf8.RuneSelf:
		return append(dst, "\uFFFD"...)
	}
	return append(dst, '\\', 'u', '0', '0', hex[ch>>4], hex[ch&15])
}

// runeBytes is the length of the UTF-8 sequence that s begins with, 1 when it
// is none.
func runeBytes[V string | []byte](s V) int {
	var b [utf8.UTFMax]byte
	n := copy(b[:], s)
	_, size := utf8.DecodeRune(b[:n])
	return size
}
