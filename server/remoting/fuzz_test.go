package remoting

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestRequestsSurviveEncodingAndDecoding(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := Serialization(rapid.IntRange(0, 1).Draw(t, "serialization"))
		want := Command{
			Version: Version, Serialization: s,
			Code:   int32(rapid.Int16().Draw(t, "code")),
			Opaque: rapid.Int32().Draw(t, "opaque"),
			Flag:   rapid.Int32().Draw(t, "flag"),
			Body:   rapid.SliceOf(rapid.Byte()).Draw(t, "body"),
		}
		if !want.IsResponse() && s == Binary && widenRequestCode(want.Code) != want.Code {
			t.Skip("a cut code")
		}
		if s == JSON {
			want.Code = rapid.Int32().Draw(t, "wide code")
		}
		r := Request{Code: want.Code, Body: want.Body, Remark: rapid.String().Draw(t, "remark")}
		if r.Remark != "" {
			want.Remark = []byte(r.Remark)
		}
		if len(want.Body) == 0 {
			want.Body = nil
		}
		for range rapid.IntRange(0, 20).Draw(t, "fields") {
			key, value := rapid.String().Draw(t, "key"), rapid.String().Draw(t, "value")
			if s == Binary && value == "" {
				continue
			}
			r.Set(key, value)
			want.Fields = append(want.Fields, Field{[]byte(key), []byte(value)})
		}
		b, err := r.appendHeader(nil, want.Opaque, want.Flag, s)
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, r.Body...)
		var got Command
		if err := got.Decode(b); err != nil {
			t.Fatal(err)
		}
		if len(got.Fields) == 0 {
			got.Fields = nil
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("(-want +got)\n%s", diff)
		}
		if diff := cmp.Diff(&r, RequestFrom(&got), cmp.Comparer(func(a, b []TextField) bool { return len(a) == len(b) && (len(a) == 0 || cmp.Equal(a, b)) }),
			cmp.Comparer(bytes.Equal)); diff != "" {
			t.Fatalf("forwarded: (-want +got)\n%s", diff)
		}
	})
}

// FuzzJSONHeader compares with encoding/json: what it accepts we accept, with
// the same result. Beyond that we only must not fail badly.
func FuzzJSONHeader(f *testing.F) {
	for _, name := range []string{"route-request-json.hex", "send-reply-json.hex", "go-client-send.hex"} {
		b := goldenFrame(f, name)
		p, err := parsePrefix(b, FrameBytesMax)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b[prefixBytes : prefixBytes+p.headerBytes])
	}
	for _, s := range []string{`{}`, `{"remark":"\ud83d\ude00\ud83d\u0041\n"}`, `{"extFields":{"a":"\u0000","a":""},"x":[{"y":["\"]"]}]}`, `{"a":"\`, `{"remark":"\u00`, `{"code":"1"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, header []byte) {
		var want struct {
			Remark    *string            `json:"remark"`
			Opaque    *int32             `json:"opaque"`
			ExtFields map[string]*string `json:"extFields"`
		}
		standard := json.Unmarshal(header, &want) == nil && exactNames(header)
		var got Command
		err := got.decodeJSON(bytes.Clone(header))
		if err != nil {
			if !errors.Is(err, ErrProtocol) {
				t.Fatalf("error of the wrong class: %v", err)
			}
			return
		}
		if !standard || !utf8.Valid(header) {
			return
		}
		if want.Opaque != nil && got.Opaque != *want.Opaque {
			t.Errorf("opaque %d, expected %d", got.Opaque, *want.Opaque)
		}
		if want.Remark != nil && string(got.Remark) != *want.Remark {
			t.Errorf("remark %q, expected %q", got.Remark, *want.Remark)
		}
		for key, value := range want.ExtFields {
			if v, ok := got.Get(key); value != nil && (!ok || string(v) != *value) {
				t.Errorf("field %q is %q, expected %q", key, v, *value)
			}
		}
	})
}

// exactNames reports whether every member name occurs once and is spelled as
// we spell it, since encoding/json ignores the case of names and merges repeated
// objects.
func exactNames(header []byte) bool {
	d := json.NewDecoder(bytes.NewReader(header))
	if _, err := d.Token(); err != nil {
		return false
	}
	seen := map[string]bool{}
	for d.More() {
		token, err := d.Token()
		name, ok := token.(string)
		if err != nil || !ok {
			return false
		}
		lower := string(bytes.ToLower([]byte(name)))
		known := name == "remark" || name == "opaque" || name == "extFields"
		if seen[lower] || !known && (lower == "remark" || lower == "opaque" || lower == "extfields") {
			return false
		}
		seen[lower] = true
		var skipped json.RawMessage
		if d.Decode(&skipped) != nil {
			return false
		}
		if name == "extFields" && bytes.Count(skipped, []byte("null")) > 0 {
			return false
		}
	}
	return true
}

func FuzzBinaryHeader(f *testing.F) {
	for _, name := range []string{"route-request-binary.hex", "send-reply-binary.hex", "pop-request-binary.hex"} {
		f.Add(goldenFrame(f, name)[prefixBytes:])
	}
	f.Fuzz(func(t *testing.T, header []byte) {
		var c Command
		if err := c.decodeBinary(header); err != nil {
			if !errors.Is(err, ErrProtocol) {
				t.Fatalf("error of the wrong class: %v", err)
			}
			return
		}
		total := len(c.Remark)
		for _, field := range c.Fields {
			total += len(field.Key) + len(field.Value)
		}
		if total > len(header) {
			t.Fatalf("%d bytes out of a header of %d", total, len(header))
		}
	})
}

// FuzzFrame feeds any bytes as a stream, as a connection does.
func FuzzFrame(f *testing.F) {
	for _, name := range []string{"route-request-json.hex", "route-request-binary.hex", "send-reply-json.hex", "go-client-send.hex"} {
		f.Add(goldenFrame(f, name))
	}
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0})
	f.Add([]byte{0, 0, 0, 4, 0, 0, 0, 4})
	f.Add([]byte{22, 3, 1, 2, 0})
	f.Fuzz(func(t *testing.T, stream []byte) {
		var c Command
		for len(stream) >= prefixBytes {
			p, err := parsePrefix(stream, 1<<20)
			if err != nil {
				return
			}
			if p.frameBytes < prefixBytes || p.headerBytes > p.frameBytes-prefixBytes {
				t.Fatalf("prefix %+v contradicts itself", p)
			}
			if p.frameBytes > len(stream) || c.decode(p, stream) != nil {
				return
			}
			if want := p.frameBytes - prefixBytes - p.headerBytes; len(c.Body) != want {
				t.Fatalf("body of %d bytes, expected %d", len(c.Body), want)
			}
			stream = stream[p.frameBytes:]
		}
	})
}
