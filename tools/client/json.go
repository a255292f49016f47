package client

import (
	"encoding/json"
	"errors"
	"fmt"
)

// nestingMax bounds the recursion.
const nestingMax = 64

// ErrJSON marks text that is neither JSON nor RocketMQ's dialect of it.
var ErrJSON = errors.New("not JSON")

// Decode reads JSON as RocketMQ writes it into v: a map's key that is a number
// or an object is taken for the string of its text.
func Decode(text []byte, v any) error {
	p := parser{in: text}
	if err := p.value(0); err != nil {
		return err
	}
	if p.skip(); p.at != len(p.in) {
		return p.wrong("text after the value")
	}
	if err := json.Unmarshal(p.out, v); err != nil {
		return fmt.Errorf("read answer: %w", err)
	}
	return nil
}

// parser copies a value from in to out, in standard JSON.
type parser struct {
	in  []byte
	at  int
	out []byte
}

func (p *parser) wrong(what string) error {
	return fmt.Errorf("%w: %s at byte %d of %d", ErrJSON, what, p.at, len(p.in))
}

// skip passes over white space.
func (p *parser) skip() {
	for p.at < len(p.in) {
		switch p.in[p.at] {
		case ' ', '\t', '\r', '\n':
			p.at++
		default:
			return
		}
	}
}

// next is the next byte that counts, 0 at the end.
func (p *parser) next() byte {
	if p.skip(); p.at < len(p.in) {
		return p.in[p.at]
	}
	return 0
}

func (p *parser) value(depth int) error {
	if depth > nestingMax {
		return p.wrong("too deeply nested")
	}
	switch p.next() {
	case '{':
		return p.list('}', depth, p.member)
	case '[':
		return p.list(']', depth, p.value)
	case '"':
		return p.text()
	}
	return p.word()
}

// list copies what stands between brackets, one element after the other.
func (p *parser) list(end byte, depth int, element func(int) error) error {
	p.out = append(p.out, p.in[p.at])
	p.at++
	if p.next() == end {
		p.out = append(p.out, end)
		p.at++
		return nil
	}
	for {
		if err := element(depth + 1); err != nil {
			return err
		}
		c := p.next()
		if c != ',' && c != end {
			return p.wrong("no comma and no end of the list")
		}
		p.out = append(p.out, c)
		p.at++
		if c == end {
			return nil
		}
	}
}

// member copies a key and its value. A key that is no string becomes one.
func (p *parser) member(depth int) error {
	from := len(p.out)
	if err := p.value(depth); err != nil {
		return err
	}
	if p.out[from] != '"' {
		quoted, err := json.Marshal(string(p.out[from:]))
		if err != nil {
			return fmt.Errorf("%w: %w", ErrJSON, err)
		}
		p.out = append(p.out[:from], quoted...)
	}
	if p.next() != ':' {
		return p.wrong("no colon after a key")
	}
	p.out = append(p.out, ':')
	p.at++
	return p.value(depth)
}

func (p *parser) text() error {
	from := p.at
	for p.at++; p.at < len(p.in); p.at++ {
		switch p.in[p.at] {
		case '\\':
			p.at++
		case '"':
			p.at++
			p.out = append(p.out, p.in[from:p.at]...)
			return nil
		}
	}
	p.at = len(p.in)
	return p.wrong("a text without end")
}

// word copies a number, true, false or null.
func (p *parser) word() error {
	from := p.at
	for p.at < len(p.in) {
		c := p.in[p.at]
		if c|0x20 >= 'a' && c|0x20 <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' {
			p.at++
			continue
		}
		break
	}
	if p.at == from {
		return p.wrong("no value")
	}
	p.out = append(p.out, p.in[from:p.at]...)
	return nil
}
