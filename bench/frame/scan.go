package frame

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// BytesMax is the largest value of a frame's length word, as in RocketMQ.
const BytesMax = 16 << 20

// ErrMalformed marks bytes that are no frame or a header without what was
// looked for. The connection they came from cannot be used any further.
var ErrMalformed = errors.New("malformed frame")

// Frame is one frame of a stream; its slices alias the stream's buffer.
type Frame struct {
	Serialization Serialization
	Header, Body  []byte
	whole         []byte
}

// Whole is the frame with its length words.
func (f *Frame) Whole() []byte { return f.whole }

// Split returns the first frame of b and the bytes it takes. While b holds
// only a part of a frame, size is the bytes that are known to be needed and
// complete is false.
func Split(b []byte) (f Frame, size int, complete bool, err error) {
	if len(b) < prefixBytes {
		return f, prefixBytes, false, nil
	}
	length := int(binary.BigEndian.Uint32(b))
	word := binary.BigEndian.Uint32(b[4:])
	headerBytes := int(word & 0xFFFFFF)
	if length < 4 || length > BytesMax || headerBytes > length-4 || word>>24 > 1 {
		return f, 0, false, fmt.Errorf("split stream: length %d, header word %#x: %w", length, word, ErrMalformed)
	}
	size = 4 + length
	if len(b) < size {
		return f, size, false, nil
	}
	f.whole = b[:size]
	f.Serialization = Serialization(word >> 24)
	f.Header = b[prefixBytes : prefixBytes+headerBytes]
	f.Body = b[prefixBytes+headerBytes : size]
	return f, size, true, nil
}

var (
	codeKey   = []byte(`"code":`)
	opaqueKey = []byte(`"opaque":`)
)

// CodeAndOpaque finds the two numbers that match a reply with its request.
func (f *Frame) CodeAndOpaque() (code, opaque int32, err error) {
	if f.Serialization == Binary {
		if len(f.Header) < 9 {
			return 0, 0, fmt.Errorf("scan header of %d bytes: too short: %w", len(f.Header), ErrMalformed)
		}
		code = int32(int16(binary.BigEndian.Uint16(f.Header)))
		return code, int32(binary.BigEndian.Uint32(f.Header[5:])), nil
	}
	code, found := number(f.Header, codeKey)
	opaque, foundOpaque := number(f.Header, opaqueKey)
	if !found || !foundOpaque {
		return 0, 0, fmt.Errorf("scan header %.80q: no code or no opaque: %w", f.Header, ErrMalformed)
	}
	return code, opaque, nil
}

// number reads the integer after the first key that is followed by one.
func number(b, key []byte) (int32, bool) {
	for {
		at := bytes.Index(b, key)
		if at < 0 {
			return 0, false
		}
		b = b[at+len(key):]
		if v, ok := leadingInteger(b); ok {
			return v, true
		}
	}
}

func leadingInteger(b []byte) (int32, bool) {
	i, sign := 0, int64(1)
	for i < len(b) && b[i] == ' ' {
		i++
	}
	if i < len(b) && b[i] == '-' {
		i, sign = i+1, -1
	}
	first, v := i, int64(0)
	for i < len(b) && b[i] >= '0' && b[i] <= '9' && i-first <= opaqueDigits {
		v = v*10 + int64(b[i]-'0')
		i++
	}
	v *= sign
	return int32(v), i > first && int64(int32(v)) == v
}

// Field finds the text of one entry of the header's map. JSON escapes are
// left as they are.
func (f *Frame) Field(key string) ([]byte, bool) {
	if f.Serialization == Binary {
		return binaryField(f.Header, key)
	}
	return jsonText(f.Header, key)
}

// Remark finds the text that explains an error; empty when there is none.
func (f *Frame) Remark() string {
	if f.Serialization == Binary {
		if len(f.Header) < 17 {
			return ""
		}
		n := int(binary.BigEndian.Uint32(f.Header[13:]))
		if n > len(f.Header)-17 {
			return ""
		}
		return string(f.Header[17 : 17+n])
	}
	text, _ := jsonText(f.Header, "remark")
	return string(text)
}

func jsonText(header []byte, key string) ([]byte, bool) {
	at := bytes.Index(header, []byte(`"`+key+`":"`))
	if at < 0 {
		return nil, false
	}
	text := header[at+len(key)+4:]
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return text[:i], true
		}
	}
	return nil, false
}

func binaryField(header []byte, key string) ([]byte, bool) {
	be := binary.BigEndian
	if len(header) < 17 {
		return nil, false
	}
	remark := int(be.Uint32(header[13:]))
	if remark > len(header)-21 {
		return nil, false
	}
	b := header[21+remark:]
	for len(b) >= 2 {
		keyBytes := int(be.Uint16(b))
		if len(b) < 2+keyBytes+4 {
			return nil, false
		}
		name := b[2 : 2+keyBytes]
		b = b[2+keyBytes:]
		valueBytes := int(be.Uint32(b))
		if valueBytes > len(b)-4 {
			return nil, false
		}
		if string(name) == key {
			return b[4 : 4+valueBytes], true
		}
		b = b[4+valueBytes:]
	}
	return nil, false
}

// Reader splits a stream into frames. It reads as much as one system call
// gives and hands out frames from its buffer.
type Reader struct {
	source     io.Reader
	buffer     []byte
	start, end int
}

// NewReader reads source through a buffer of bufferBytes, which grows up to
// the largest legal frame when one does not fit.
func NewReader(source io.Reader, bufferBytes int) *Reader {
	return &Reader{source: source, buffer: make([]byte, bufferBytes)}
}

// Next returns the next complete frame of the buffer, or false when Fill is
// needed. The frame is valid until Fill is called.
func (r *Reader) Next() (Frame, bool, error) {
	f, size, complete, err := Split(r.buffer[r.start:r.end])
	if err != nil {
		return f, false, err
	}
	if complete {
		r.start += size
		return f, true, nil
	}
	if len(r.buffer)-r.start < size {
		r.makeRoom(size)
	}
	return f, false, nil
}

func (r *Reader) makeRoom(size int) {
	target := r.buffer
	if len(target) < size {
		target = make([]byte, size+size/2)
	}
	r.end = copy(target, r.buffer[r.start:r.end])
	r.buffer, r.start = target, 0
}

// Fill waits until the source has given at least one byte.
func (r *Reader) Fill() error {
	if r.start == r.end {
		r.start, r.end = 0, 0
	} else if r.end == len(r.buffer) {
		r.makeRoom(0)
	}
	n, err := r.source.Read(r.buffer[r.end:])
	r.end += n
	if n > 0 {
		return nil
	}
	return err
}
