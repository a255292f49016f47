package log

import (
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"unicode/utf8"

	"github.com/apogeemq/apogee/server/broker/record"
)

// message is the RocketMQ record in a message event.
type message struct {
	Topic          string     `json:"topic"`
	Flag           int32      `json:"flag"`
	SystemFlag     int32      `json:"sysFlag"`
	BornTimestamp  int64      `json:"bornTimestamp"`
	BornHost       string     `json:"bornHost"`
	StoreHost      string     `json:"storeHost"`
	ReconsumeTimes int32      `json:"reconsumeTimes"`
	PreparedOffset int64      `json:"preparedTransactionOffset"`
	Properties     []property `json:"properties"`
	BodyBytes      int        `json:"bodyBytes"`             // as stored
	Compression    string     `json:"compression,omitempty"` // zlib, lz4 or zstd
	Body           *string    `json:"body,omitempty"`        // decompressed text
	BodyHex        string     `json:"bodyHex,omitempty"`     // where it is not UTF-8, or as asked for
	Problem        string     `json:"problem,omitempty"`
}

type property struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// bodyForm is how bodies are shown.
type bodyForm string

const (
	bodyText bodyForm = "text"
	bodyHex  bodyForm = "hex"
	bodyNone bodyForm = "none"
)

// decodeMessage reads a message event's payload.
func decodeMessage(payload []byte, form bodyForm) (*message, error) {
	r, rest, err := record.Decode(payload)
	if err == nil && len(rest) > 0 {
		err = fmt.Errorf("%w: %d bytes after the record", record.ErrCorrupt, len(rest))
	}
	if err != nil {
		return nil, err
	}
	m := &message{
		Topic: string(r.Topic), Flag: r.Flag, SystemFlag: r.SystemFlag, BornTimestamp: r.BornTimestamp,
		BornHost: r.BornHost.String(), StoreHost: r.StoreHost.String(), ReconsumeTimes: r.ReconsumeTimes,
		PreparedOffset: r.PreparedOffset, BodyBytes: len(r.Body), Compression: compressionOf(r.SystemFlag),
	}
	for name, value := range record.Properties(r.Properties).All() {
		m.Properties = append(m.Properties, property{string(name), string(value)})
	}
	if r.BodySum != record.BodySum(r.Body) {
		m.Problem = fmt.Sprintf("body checksum %08x, expected %08x", record.BodySum(r.Body), r.BodySum)
	}
	m.show(r.Body, form)
	return m, nil
}

// show fills in the body.
func (m *message) show(body []byte, form bodyForm) {
	if form == bodyNone {
		return
	}
	if m.Compression != "" {
		inflated, err := inflate(body, m.Compression, inflatedBytesMax)
		if err != nil {
			m.Problem, form = err.Error()+"; shown as stored", bodyHex
		} else {
			body = inflated
		}
	}
	if form == bodyHex || !utf8.Valid(body) {
		m.BodyHex = hex.EncodeToString(body)
		return
	}
	text := string(body)
	m.Body = &text
}

// print writes the indented lines of a message. Text is quoted, so that no
// body reaches the terminal as control characters.
func (m *message) print(w io.Writer) {
	fmt.Fprintf(w, "  flag=%d sysFlag=%#x born=%s from=%s stored-by=%s reconsumed=%d", m.Flag, m.SystemFlag,
		timeText(m.BornTimestamp), m.BornHost, m.StoreHost, m.ReconsumeTimes)
	if m.PreparedOffset != 0 {
		fmt.Fprintf(w, " prepared=%d", m.PreparedOffset)
	}
	fmt.Fprintf(w, " body=%d", m.BodyBytes)
	if m.Compression != "" {
		fmt.Fprintf(w, " (%s)", m.Compression)
	}
	fmt.Fprintln(w)
	for _, p := range m.Properties {
		fmt.Fprintf(w, "  %s=%s\n", quoted(p.Name), quoted(p.Value))
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

// quoted quotes a text that isn't plain.
func quoted(s string) string {
	q := strconv.Quote(s)
	if q[1:len(q)-1] == s {
		return s
	}
	return q
}
