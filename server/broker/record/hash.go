package record

import "unicode/utf8"

// TagCode is the number that stands for a tag in the consume queues: Java's
// String.hashCode, h = 31·h + unit over the UTF-16 units of the text. The
// text is UTF-8; each byte that is not counts as U+FFFD. No tag has code 0.
func TagCode(tag []byte) int32 {
	var h int32
	for i := 0; i < len(tag); {
		c := tag[i]
		if c < utf8.RuneSelf {
			h = 31*h + int32(c)
			i++
			continue
		}
		r, n := utf8.DecodeRune(tag[i:])
		i += n
		if r >= 0x10000 {
			r -= 0x10000
			h = 31*h + (0xD800 + r>>10)
			r = 0xDC00 + r&0x3FF
		}
		h = 31*h + r
	}
	return h
}
