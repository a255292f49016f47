package message

import (
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/apogeemq/apogee/server/broker/record"
)

// Message is a RocketMQ record as people read it. What a record says of its
// place (queue, offset, position, store time) is left out.
type Message struct {
	Topic          string     `json:"topic"`
	Flag           int32      `json:"flag"`
	SystemFlag     int32      `json:"sysFlag"`
	BornTimestamp  int64      `json:"bornTimestamp"`
	BornHost       string     `json:"bornHost"`
	StoreHost      string     `json:"storeHost"`
	ReconsumeTimes int32      `json:"reconsumeTimes"`
	PreparedOffset int64      `json:"preparedTransactionOffset"`
	Properties     []Property `json:"properties"`
	BodyBytes      int        `json:"bodyBytes"`             // as stored
	Compression    string     `json:"compression,omitempty"` // zlib, lz4 or zstd
	Body           *string    `json:"body,omitempty"`        // decompressed text
	BodyHex        string     `json:"bodyHex,omitempty"`     // where it is not UTF-8, or as asked for
	Problem        string     `json:"problem,omitempty"`
}

// Property is one of a message's properties.
type Property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Form is how a body is shown.
type Form string

// The forms. A body that is no text is shown in hexadecimal instead.
const (
	Text Form = "text"
	Hex  Form = "hex"
	None Form = "none"
)

// Check refuses what is none of the forms.
func (f Form) Check() error {
	if f != Text && f != Hex && f != None {
		return fmt.Errorf("--body %q is not allowed: use %s, %s or %s", string(f), Text, Hex, None)
	}
	return nil
}

// Decode reads the one record that the payload of an event is.
func Decode(payload []byte, form Form) (*Message, error) {
	r, rest, err := record.Decode(payload)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%w: %d bytes after the record", record.ErrCorrupt, len(rest))
	}
	if err != nil {
		return nil, err
	}
	return Of(&r, form), nil
}

// Of shows a record. It keeps nothing of it.
func Of(r *record.Record, form Form) *Message {
	m := &Message{
		Topic: string(r.Topic), Flag: r.Flag, SystemFlag: r.SystemFlag, BornTimestamp: r.BornTimestamp,
		BornHost: r.BornHost.String(), StoreHost: r.StoreHost.String(), ReconsumeTimes: r.ReconsumeTimes,
		PreparedOffset: r.PreparedOffset, BodyBytes: len(r.Body), Compression: compressionOf(r.SystemFlag),
	}
	for name, value := range record.Properties(r.Properties).All() {
		m.Properties = append(m.Properties, Property{string(name), string(value)})
	}
	if r.BodySum != record.BodySum(r.Body) {
		m.Problem = fmt.Sprintf("body checksum %08x, expected %08x", record.BodySum(r.Body), r.BodySum)
	}
	m.show(r.Body, form)
	return m
}

// Get is the value of a property, "" where there is none.
func (m *Message) Get(name string) string {
	for i := len(m.Properties) - 1; i >= 0; i-- {
		if m.Properties[i].Name == name {
			return m.Properties[i].Value
		}
	}
	return ""
}

// show fills in the body.
func (m *Message) show(body []byte, form Form) {
	if form == None {
		return
	}
	if m.Compression != "" {
		inflated, err := inflate(body, m.Compression, inflatedBytesMax)
		if err != nil {
			m.Problem, form = err.Error()+"; shown as stored", Hex
		} else {
			body = inflated
		}
	}
	if form == Hex || !utf8.Valid(body) {
		m.BodyHex = hex.EncodeToString(body)
		return
	}
	text := string(body)
	m.Body = &text
}

// Print writes the indented lines of a message. Text is quoted, so that no
// body reaches the terminal as control characters.
func (m *Message) Print(w io.Writer) {
	fmt.Fprintf(w, "  flag=%d sysFlag=%#x born=%s from=%s stored-by=%s reconsumed=%d", m.Flag, m.SystemFlag,
		TimeText(m.BornTimestamp), m.BornHost, m.StoreHost, m.ReconsumeTimes)
	if m.PreparedOffset != 0 {
		fmt.Fprintf(w, " prepared=%d", m.PreparedOffset)
	}
	fmt.Fprintf(w, " body=%d", m.BodyBytes)
	if m.Compression != "" {
		fmt.Fprintf(w, " (%s)", m.Compression)
	}
	fmt.Fprintln(w)
	for _, p := range m.Properties {
		fmt.Fprintf(w, "  %s=%s\n", Quoted(p.Name), Quoted(p.Value))
	}
	if m.Problem != "" {
		fmt.Fprintf(w, "  problem: %s\n", m.Problem)
	}
	if m.Body != nil {
		fmt.Fprintf(w, "  body: %s\n", strconv.Quote(*m.Body))
	}
	if m.BodyHex != "" {
		fmt.Fprintf(w, "  body in hexadecimal: %s\n", m.BodyHex)
	}
}

// Quoted quotes a text that isn't plain.
func Quoted(s string) string {
	q := strconv.Quote(s)
	if q[1:len(q)-1] == s {
		return s
	}
	return q
}

// Place is where a record is.
type Place struct {
	Queue          uint32 `json:"queue"`
	Offset         int64  `json:"offset"`
	Position       int64  `json:"position"` // in the broker's log
	StoreTimestamp int64  `json:"storeTimestamp"`
	MessageID      string `json:"messageId"` // RocketMQ's offsetMsgId
}

// PlaceOf reads the place out of a record that a broker has filled in.
func PlaceOf(r *record.Record) Place {
	return Place{Queue: r.QueueID, Offset: r.QueueOffset, Position: r.Position, StoreTimestamp: r.StoreTimestamp,
		MessageID: string(record.AppendMessageID(nil, r.StoreHost, r.Position))}
}

// Inflated is the body of a record, decompressed. A body that is not what its
// flag says is returned as stored.
func Inflated(r *record.Record) []byte {
	if c := compressionOf(r.SystemFlag); c != "" {
		if body, err := inflate(r.Body, c, inflatedBytesMax); err == nil {
			return body
		}
	}
	return r.Body
}
