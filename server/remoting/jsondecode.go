package remoting

import (
	"fmt"
	"math"
)

// jsonNestingMax bounds the depth of a value that is skipped.
const jsonNestingMax = 64

// decodeJSON reads a JSON header in place. Escapes are resolved where they
// stand, since the result is never longer. Unknown members are skipped; a
// null member counts as absent; numbers and booleans are accepted where RocketMQ
// writes strings, and the other way round, as fastjson does.
func (c *Command) decodeJSON(header []byte) error {
	d := jsonDecoder{b: header}
	d.open()
	for d.more() {
		switch key := d.key(); string(key) {
		case "code":
			c.Code = d.int32()
		case "language":
			c.Language = d.language()
		case "version":
			c.Version = d.int32()
		case "opaque":
			c.Opaque = d.int32()
		case "flag":
			c.Flag = d.int32()
		case "remark":
			c.Remark, _ = d.value()
		case "extFields":
			d.fields(c)
		default:
			d.value()
		}
	}
	d.end()
	return d.err
}

// jsonDecoder walks over JSON text. The first error sticks: after it every
// method returns a zero value and more returns false.
type jsonDecoder struct {
	b     []byte
	at    int
	comma bool // a member stands before: the next one needs a comma
	err   error
}

func (d *jsonDecoder) fail(what string) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: JSON header, byte %d: %s", ErrProtocol, d.at, what)
		d.at = len(d.b)
	}
}

// peek is the next byte that is not white space, 0 at the end.
func (d *jsonDecoder) peek() byte {
	for d.at < len(d.b) {
		switch ch := d.b[d.at]; ch {
		case ' ', '\t', '\n', '\r':
			d.at++
		default:
			return ch
		}
	}
	return 0
}

func (d *jsonDecoder) expect(ch byte, what string) {
	if d.peek() != ch {
		d.fail(what)
		return
	}
	d.at++
}

// open enters an object.
func (d *jsonDecoder) open() {
	d.expect('{', "an object is needed")
	d.comma = false
}

// more reports whether another member follows, and leaves the object if not.
func (d *jsonDecoder) more() bool {
	ch := d.peek()
	if ch == '}' {
		d.at++
		d.comma = true
		return false
	}
	if d.comma {
		d.expect(',', "a comma is needed between members")
	}
	d.comma = true
	return d.err == nil
}

// end checks that nothing follows.
func (d *jsonDecoder) end() {
	if d.peek() != 0 || d.at < len(d.b) {
		d.fail("bytes follow the object")
	}
}

func (d *jsonDecoder) key() []byte {
	if d.peek() != '"' {
		d.fail("a member name is needed")
		return nil
	}
	key := d.text()
	d.expect(':', "a colon is needed after a member name")
	return key
}

// value is any value as text: a string without quotes and escapes, everything
// else as it is written. It reports false for null.
func (d *jsonDecoder) value() ([]byte, bool) {
	switch ch := d.peek(); {
	case ch == '"':
		return d.text(), d.err == nil
	case ch == '{' || ch == '[':
		return d.nested(), d.err == nil
	case ch == 'n':
		d.word("null")
		return nil, false
	case ch == 't':
		return d.word("true"), d.err == nil
	case ch == 'f':
		return d.word("false"), d.err == nil
	case ch == '-' || ch >= '0' && ch <= '9':
		return d.number(), d.err == nil
	}
	d.fail("a value is needed")
	return nil, false
}

func (d *jsonDecoder) word(word string) []byte {
	end := d.at + len(word)
	if end > len(d.b) || string(d.b[d.at:end]) != word {
		d.fail("unknown word")
		return nil
	}
	w := d.b[d.at:end:end]
	d.at = end
	return w
}

func (d *jsonDecoder) number() []byte {
	from := d.at
	for d.at < len(d.b) {
		switch ch := d.b[d.at]; {
		case ch >= '0' && ch <= '9', ch == '-', ch == '+', ch == '.', ch == 'e', ch == 'E':
			d.at++
		default:
			return d.b[from:d.at:d.at]
		}
	}
	return d.b[from:d.at:d.at]
}

// nested steps over an object or array without looking inside. Only strings
// and the nesting matter for finding its end.
func (d *jsonDecoder) nested() []byte {
	from, depth := d.at, 0
	for d.at < len(d.b) {
		switch d.b[d.at] {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case '"':
			d.skipText()
			continue
		}
		d.at++
		if depth == 0 {
			return d.b[from:d.at:d.at]
		}
		if depth > jsonNestingMax {
			break
		}
	}
	d.fail("a value is not closed or nested too deep")
	return nil
}

// skipText steps over a string and leaves it as it is.
func (d *jsonDecoder) skipText() {
	for d.at++; d.at < len(d.b); d.at++ {
		switch d.b[d.at] {
		case '\\':
			d.at++
		case '"':
			d.at++
			return
		}
	}
	d.at = min(d.at, len(d.b))
	d.fail("a string is not closed")
}

// int32 is a number, or a number in quotes; null is 0.
func (d *jsonDecoder) int32() int32 {
	v, ok := d.value()
	if !ok {
		return 0
	}
	n, ok := parseInt(v)
	if !ok || n < math.MinInt32 || n > math.MaxInt32 {
		d.fail("a 32-bit number is needed")
		return 0
	}
	return int32(n)
}

// language is a name or an ordinal of RocketMQ's LanguageCode.
func (d *jsonDecoder) language() uint8 {
	v, ok := d.value()
	if !ok {
		return LanguageJava
	}
	if n, ok := parseInt(v); ok {
		if n < 0 || n >= int64(len(languageNames)) {
			return LanguageOther
		}
		return uint8(n)
	}
	return languageOf(v)
}

// fields reads the object of header fields.
func (d *jsonDecoder) fields(c *Command) {
	if d.peek() == 'n' {
		d.word("null")
		return
	}
	d.open()
	for {
		d.plainFields(c)
		if !d.more() {
			return
		}
		key := d.key()
		value, ok := d.value()
		if ok {
			d.add(c, key, value)
		}
	}
}

// plainFields reads fields as long as they are written as nearly all are:
// "name":"value" without white space and escapes. It stops in front of the
// first one that is not, or of the object's end.
func (d *jsonDecoder) plainFields(c *Command) {
	b := d.b
	for d.err == nil {
		at := d.at
		if d.comma {
			if at >= len(b) || b[at] != ',' {
				return
			}
			at++
		}
		if at >= len(b) || b[at] != '"' {
			return
		}
		key := at + 1
		keyEnd := textEnd(b, key)
		value := keyEnd + len(`":"`)
		if value > len(b) || string(b[keyEnd:value]) != `":"` {
			return
		}
		valueEnd := textEnd(b, value)
		if valueEnd >= len(b) || b[valueEnd] != '"' {
			return
		}
		d.at, d.comma = valueEnd+1, true
		d.add(c, b[key:keyEnd:keyEnd], b[value:valueEnd:valueEnd])
	}
}

func (d *jsonDecoder) add(c *Command, key, value []byte) {
	if err := c.addField(key, value); err != nil {
		d.err = err
		d.at = len(d.b)
	}
}
