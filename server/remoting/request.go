package remoting

import (
	"fmt"
	"math"
)

// TextField is one header field of a request.
type TextField struct{ Key, Value string }

// Request is a request to send. It is only read, and may be sent again.
type Request struct {
	Code   int32
	Header []TextField // fields; of equal keys the receiver takes the last
	Remark string      // "" for none
	Body   []byte      // not kept after the send
}

// RequestFrom copies what a command asks for, so that it can be forwarded.
// The body still aliases the command's.
func RequestFrom(c *Command) *Request {
	r := &Request{Code: c.Code, Remark: string(c.Remark), Body: c.Body, Header: make([]TextField, len(c.Fields))}
	for i, f := range c.Fields {
		r.Header[i] = TextField{Key: string(f.Key), Value: string(f.Value)}
	}
	return r
}

// Set appends a header field.
func (r *Request) Set(key, value string) {
	r.Header = append(r.Header, TextField{Key: key, Value: value})
}

// appendHeader appends the frame's prefix and header. The body, which is to
// follow, is not appended.
func (r *Request) appendHeader(dst []byte, opaque, flag int32, s Serialization) ([]byte, error) {
	at := len(dst)
	h := head{code: r.Code, opaque: opaque, flag: flag, remark: r.Remark}
	dst = openFrame(dst)
	if s == Binary {
		dst = appendBinaryHead(dst, h)
		from := len(dst)
		for _, f := range r.Header {
			if len(f.Key) > math.MaxInt16 {
				return dst[:at], fmt.Errorf("encode request %d: header field name of %d bytes, at most %d are allowed", r.Code, len(f.Key), math.MaxInt16)
			}
			dst = appendBinaryField(dst, f.Key, f.Value)
		}
		endBinaryFields(dst, from)
	} else {
		dst = appendJSONHead(dst, h)
		for i, f := range r.Header {
			dst = appendJSONField(dst, i, f.Key, f.Value)
		}
		dst = endJSON(dst, len(r.Header))
	}
	if !closeFrame(dst, at, len(r.Body), s) {
		return dst[:at], fmt.Errorf("encode request %d: %w: body of %d bytes, a frame has at most %d", r.Code, ErrTooLarge, len(r.Body), FrameBytesMax)
	}
	return dst, nil
}
