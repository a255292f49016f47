package remoting

import (
	"strconv"
	"time"
)

// head is what the headers of requests and replies have in common.
type head struct {
	code, opaque, flag int32
	remark             string
}

// replyField is a header field of a reply; its value is values[from:to].
type replyField struct {
	key      string
	from, to int
}

// Reply is a response that is being put together. It is meant to be kept and
// used again: after it has warmed up it no longer allocates. The zero value is
// ready. A Reply is not safe for concurrent use.
type Reply struct {
	Code   int32  // response code; Go clients need it within 16 bits
	Remark string // "" for none
	Body   []byte // not kept after Send

	fields []replyField
	values []byte
}

// Reset makes r an empty reply with code ResponseSuccess.
func (r *Reply) Reset() {
	*r = Reply{fields: r.fields[:0], values: r.values[:0]}
}

// SetText sets header field key.
func (r *Reply) SetText(key, value string) {
	from := len(r.values)
	r.values = append(r.values, value...)
	r.set(key, from)
}

// SetBytes sets header field key. The value is copied.
func (r *Reply) SetBytes(key string, value []byte) {
	from := len(r.values)
	r.values = append(r.values, value...)
	r.set(key, from)
}

// SetInt sets header field key to a decimal number.
func (r *Reply) SetInt(key string, value int64) {
	from := len(r.values)
	r.values = strconv.AppendInt(r.values, value, 10)
	r.set(key, from)
}

func (r *Reply) set(key string, from int) {
	f := replyField{key: key, from: from, to: len(r.values)}
	for i := range r.fields {
		if r.fields[i].key == key {
			r.fields[i] = f
			return
		}
	}
	r.fields = append(r.fields, f)
}

// answer is a response that can be encoded.
type answer interface {
	// appendHeader appends the frame's prefix and header; payload follows if it
	// reports true.
	appendHeader(dst []byte, opaque int32, s Serialization) ([]byte, bool)
	payload() []byte
	responseCode() int32
}

func (r *Reply) payload() []byte     { return r.Body }
func (r *Reply) responseCode() int32 { return r.Code }

// appendHeader appends the frame's prefix and header. The body, which is to
// follow, is not appended. A reply that does not fit in a frame is replaced by
// an error, in which case it reports false: no body follows.
func (r *Reply) appendHeader(dst []byte, opaque int32, s Serialization) ([]byte, bool) {
	at := len(dst)
	h := head{code: r.Code, opaque: opaque, flag: flagResponse, remark: r.Remark}
	dst = openFrame(dst)
	if s == Binary {
		dst = appendBinaryHead(dst, h)
		from := len(dst)
		for _, f := range r.fields {
			dst = appendBinaryField(dst, f.key, r.values[f.from:f.to])
		}
		endBinaryFields(dst, from)
	} else {
		dst = appendJSONHead(dst, h)
		for i, f := range r.fields {
			dst = appendJSONField(dst, i, f.key, r.values[f.from:f.to])
		}
		dst = endJSON(dst, len(r.fields))
	}
	if closeFrame(dst, at, len(r.Body), s) {
		return dst, true
	}
	return appendTooLarge(dst[:at], len(r.Body), opaque, s), false
}

// appendTooLarge appends what is answered instead of a response that is too
// large.
func appendTooLarge(dst []byte, bodyBytes int, opaque int32, s Serialization) []byte {
	instead := Reply{
		Code:   ResponseSystemError,
		Remark: "the response has a body of " + strconv.Itoa(bodyBytes) + " bytes and does not fit in a frame of 16 MiB; ask for less at a time",
	}
	dst, _ = instead.appendHeader(dst, opaque, s)
	return dst
}

// ReplyTo names the request that a reply answers. It is a value and may
// outlive Handle; each request is answered once.
type ReplyTo struct {
	Conn          *Conn
	Opaque        int32
	Serialization Serialization
	Oneway        bool

	sequence uint64    // of the request on its connection; 0 if it was not read from there
	request  int32     // its code
	received time.Time // only where answers are observed
}

// Send encodes r into the connection's output and flushes soon: at once, or,
// while Handle of this request still runs, together with the replies to the
// other requests that came with it. It does nothing for a one-way request or a
// closed connection. Safe from any goroutine; r can be used again afterwards.
func (rt ReplyTo) Send(r *Reply) { rt.send(r) }

// Pass answers with a response that came from elsewhere: its code, fields,
// remark, body, language and version are those of its sender. It allocates
// nothing and doesn't keep the response. Otherwise it is like Send.
func (rt ReplyTo) Pass(response *Command) { rt.send(passed{response}) }

func (rt ReplyTo) send(r answer) {
	if rt.Oneway {
		return
	}
	c := rt.Conn
	if c.encodeReply(rt, r, nil) && (rt.sequence == 0 || c.handling.Load() != rt.sequence) {
		c.Flush()
	}
}
