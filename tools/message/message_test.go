package message

import (
	"bytes"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/klauspost/compress/zlib"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/apogeemq/apogee/server/broker/record"
)

// compressed is a text in the three forms of RocketMQ.
func compressed(t testing.TB, text []byte) map[int32][]byte {
	t.Helper()
	var z, l, s bytes.Buffer
	zw, lw := zlib.NewWriter(&z), lz4.NewWriter(&l)
	sw, err := zstd.NewWriter(&s)
	for _, w := range []interface {
		Write([]byte) (int, error)
		Close() error
	}{zw, lw, sw} {
		if err == nil {
			_, err = w.Write(text)
		}
		err = errors.Join(err, w.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return map[int32][]byte{1: z.Bytes(), 0x301: z.Bytes(), 0x101: l.Bytes(), 0x201: s.Bytes()}
}

func payload(systemFlag int32, body []byte) []byte {
	host := netip.MustParseAddrPort("10.0.0.9:10911")
	m := &record.Message{Topic: "orders", SystemFlag: systemFlag, BornTimestamp: 1500, BornHost: host, StoreHost: host,
		Properties: []byte("KEYS\x01k1 k2\x02TAGS\x01red\x02")}
	m.SetBody(body)
	b := make([]byte, m.PayloadBytes())
	m.PutPayload(b)
	return b
}

func TestCompressedBodiesAreShownDecompressed(t *testing.T) {
	t.Parallel()
	text := []byte(strings.Repeat("a body that repeats ", 1000))
	for flag, body := range compressed(t, text) {
		m, err := Decode(payload(flag, body), Text)
		if err != nil || m.Problem != "" || m.Body == nil || *m.Body != string(text) {
			t.Errorf("flag %#x: %+v, %v", flag, m, err)
		}
	}
	m, err := Decode(payload(1, []byte("not compressed")), Text)
	if err != nil || m.Problem == "" || m.BodyHex == "" {
		t.Errorf("a body that isn't what its flag says: %+v, %v", m, err)
	}
	if m, err = Decode(payload(0x701, []byte("x")), Text); err != nil || !strings.Contains(m.Problem, "compression 7 is unknown") {
		t.Errorf("an unknown compression: %+v, %v", m, err)
	}
}

func TestDecompressionIsBounded(t *testing.T) {
	t.Parallel()
	for flag, body := range compressed(t, make([]byte, 4<<20)) {
		if out, err := inflate(body, compressionOf(flag), 1<<20); err == nil || len(out) > 0 {
			t.Errorf("flag %#x: %d bytes, %v; want a refusal", flag, len(out), err)
		}
		if out, err := inflate(body, compressionOf(flag), 4<<20); err != nil || len(out) != 4<<20 {
			t.Errorf("flag %#x: %d bytes, %v", flag, len(out), err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for flag, body := range compressed(f, []byte("a short text, a short text")) {
		f.Add(payload(flag, body))
	}
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := Decode(b, Text)
		if err != nil {
			return
		}
		if m.Body != nil && len(*m.Body) > inflatedBytesMax {
			t.Errorf("a body of %d bytes", len(*m.Body))
		}
		m.Print(&bytes.Buffer{})
	})
}

func TestTimesAreReadInBothForms(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{"1500": 1500, "1970-01-01T00:00:01.5Z": 1500, "1970-01-01T01:00:00+01:00": 0} {
		if got, err := ParseTime("--from", text); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "yesterday", "1960-01-01T00:00:00Z"} {
		if got, err := ParseTime("--from", text); err == nil || !strings.Contains(err.Error(), "--from") {
			t.Errorf("%q is taken for %d, %v", text, got, err)
		}
	}
}
