package remoting

import (
	"fmt"
	"slices"
)

const (
	flagResponse = 1 << 0
	flagOneway   = 1 << 1

	// Version is the MQVersion ordinal that this package sends: V5_3_3. Clients
	// enable features by it.
	Version = 479

	// fieldsMax bounds the header fields of one command. RocketMQ's requests
	// have at most two dozen; the bound keeps a header of 16 MiB from becoming
	// a table ten times that size.
	fieldsMax   = 1024
	fieldsUsual = 16 // size that a field table begins with
	fieldsKeep  = 64 // larger field tables are not kept between reads
)

// Field is one header field (RocketMQ: an entry of extFields).
type Field struct{ Key, Value []byte }

// Command is a decoded request or response. All slices alias the connection's
// buffer: they are valid until the handler returns. Clone makes a copy that
// stays.
type Command struct {
	Code          int32 // request code, or response code in a response
	Version       int32 // the sender's MQVersion ordinal
	Opaque        int32 // correlation id, chosen by the requester
	Flag          int32 // bit 0: response, bit 1: one-way
	Language      uint8 // the sender's LanguageCode
	Serialization Serialization
	Remark        []byte
	Fields        []Field // in the order of the wire
	Body          []byte  // nil when empty
}

// IsResponse reports whether the command answers a request.
func (c *Command) IsResponse() bool { return c.Flag&flagResponse != 0 }

// IsOneway reports whether the sender wants no answer.
func (c *Command) IsOneway() bool { return c.Flag&flagOneway != 0 }

// Get is the value of header field key. Of equal keys the last one counts, as
// in a Java map.
func (c *Command) Get(key string) ([]byte, bool) {
	for i := len(c.Fields) - 1; i >= 0; i-- {
		if string(c.Fields[i].Key) == key {
			return c.Fields[i].Value, true
		}
	}
	return nil, false
}

// Text is the value of header field key as a string of its own, "" when absent.
func (c *Command) Text(key string) string {
	v, _ := c.Get(key)
	return string(v)
}

// Int is the value of header field key as a decimal number, false when the
// field is absent or not a number of 64 bits.
func (c *Command) Int(key string) (int64, bool) {
	v, ok := c.Get(key)
	if !ok {
		return 0, false
	}
	return parseInt(v)
}

// Bool is the value of header field key by the rule of Boolean.parseBoolean:
// "true" in any case is true, all else and absence is false.
func (c *Command) Bool(key string) bool {
	v, _ := c.Get(key)
	const word = "true"
	if len(v) != len(word) {
		return false
	}
	for i := range v {
		if v[i]|0x20 != word[i] {
			return false
		}
	}
	return true
}

// Clone copies the command and everything it points to.
func (c *Command) Clone() *Command {
	d := &Command{}
	c.CopyTo(d, nil)
	return d
}

// CopyTo makes d a copy whose bytes are in arena, and returns the arena, which
// it has to grow when it is too small. A copy into what was used before doesn't
// allocate once that is large enough.
func (c *Command) CopyTo(d *Command, arena []byte) []byte {
	n := len(c.Remark) + len(c.Body)
	for _, f := range c.Fields {
		n += len(f.Key) + len(f.Value)
	}
	arena = slices.Grow(arena[:0], n)
	keep := func(b []byte) []byte {
		if len(b) == 0 {
			return nil
		}
		at := len(arena)
		arena = append(arena, b...)
		return arena[at:len(arena):len(arena)]
	}
	fields := slices.Grow(d.Fields[:0], len(c.Fields))
	*d = *c
	d.Remark, d.Body = keep(c.Remark), keep(c.Body)
	for _, f := range c.Fields {
		fields = append(fields, Field{Key: keep(f.Key), Value: keep(f.Value)})
	}
	d.Fields = fields
	return arena
}

// Decode reads the frame b, all of it, in place: it may rewrite the header in
// b, and the command's slices alias b. Its error wraps ErrProtocol.
func (c *Command) Decode(b []byte) error {
	if len(b) < prefixBytes {
		return fmt.Errorf("%w: a frame of %d bytes, at least %d are needed", ErrProtocol, len(b), prefixBytes)
	}
	p, err := parsePrefix(b, FrameBytesMax)
	if err == nil && p.frameBytes != len(b) {
		err = fmt.Errorf("%w: a frame of %d bytes says that it has %d", ErrProtocol, len(b), p.frameBytes)
	}
	if err != nil {
		return err
	}
	return c.decode(p, b)
}

// decode reads the frame b, whose prefix is p, in place: it may rewrite b.
// After an error the command's content is undefined.
func (c *Command) decode(p prefix, b []byte) error {
	*c = Command{Serialization: p.serialization, Fields: c.Fields[:0]}
	at := prefixBytes + p.headerBytes
	header := b[prefixBytes:at:at]
	if p.frameBytes > at {
		c.Body = b[at:p.frameBytes:p.frameBytes]
	}
	if p.serialization == Binary {
		return c.decodeBinary(header)
	}
	return c.decodeJSON(header)
}

// addField appends a header field within the limit.
func (c *Command) addField(key, value []byte) error {
	if len(c.Fields) >= fieldsMax {
		return fmt.Errorf("%w: more than %d header fields", ErrProtocol, fieldsMax)
	}
	if c.Fields == nil {
		c.Fields = make([]Field, 0, fieldsUsual)
	}
	c.Fields = append(c.Fields, Field{Key: key, Value: value})
	return nil
}

// parseInt reads a decimal number as Long.parseLong does.
func parseInt(b []byte) (int64, bool) {
	negative := false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		negative = b[0] == '-'
		b = b[1:]
	}
	if len(b) == 0 {
		return 0, false
	}
	var n uint64
	for _, ch := range b {
		digit := uint64(ch - '0')
		if digit > 9 || n > (1<<63)/10 {
			return 0, false
		}
		n = n*10 + digit
		if n > 1<<63 {
			return 0, false
		}
	}
	if negative {
		return -int64(n), true
	}
	return int64(n), n < 1<<63
}
