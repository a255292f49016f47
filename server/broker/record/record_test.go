package record

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// goldenRecord is the record of golden() with its place filled in, as
// RocketMQ's layout prescribes it.
const goldenRecord = "00000073daa320a73610a6860000000300000000000000000000000700000000000010000000" +
	"00000000018bcfe568000a0000050000c3500000018bcfe568017f00000100002a9f00000000" +
	"00000000000000000000000568656c6c6f09546f70696354657374000a5441475301546167410" +
	"2"

func golden() *Message {
	m := &Message{
		QueueID:       3,
		BornTimestamp: 1700000000000,
		BornHost:      netip.MustParseAddrPort("10.0.0.5:50000"),
		StoreHost:     netip.MustParseAddrPort("127.0.0.1:10911"),
		Topic:         "TopicTest",
		Properties:    []byte("TAGS\x01TagA\x02"),
	}
	m.SetBody([]byte("hello"))
	return m
}

func encode(m *Message) []byte {
	b := bytes.Repeat([]byte{0xEE}, m.PayloadBytes())
	m.PutPayload(b)
	return b
}

func TestRecordHasTheBytesThatRocketMQWrites(t *testing.T) {
	t.Parallel()
	got := encode(golden())
	if err := Fill(got, 7, 4096, 1700000000001); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(goldenRecord, hex.EncodeToString(got)); diff != "" {
		t.Errorf("record differs (-want +got):\n%s", diff)
	}
}

func TestRecordInTheLogHasNoPlace(t *testing.T) {
	t.Parallel()
	r, _, err := Decode(encode(golden()))
	if err != nil {
		t.Fatal(err)
	}
	if r.QueueOffset != 0 || r.Position != 0 || r.StoreTimestamp != 0 {
		t.Errorf("place is %d, %d, %d before it is filled in, want zeros", r.QueueOffset, r.Position, r.StoreTimestamp)
	}
}

func anyMessage(t *rapid.T) *Message {
	host := rapid.SampledFrom([]string{"10.0.0.5:50000", "[2001:db8::1]:10911", "[::ffff:1.2.3.4]:1", "0.0.0.0:0"})
	m := &Message{
		QueueID:        rapid.Uint32().Draw(t, "queue"),
		Flag:           rapid.Int32().Draw(t, "flag"),
		SystemFlag:     rapid.Int32().Draw(t, "systemFlag"),
		BornTimestamp:  rapid.Int64().Draw(t, "born"),
		BornHost:       netip.MustParseAddrPort(host.Draw(t, "bornHost")),
		StoreHost:      netip.MustParseAddrPort(host.Draw(t, "storeHost")),
		ReconsumeTimes: rapid.Int32().Draw(t, "reconsume"),
		PreparedOffset: rapid.Int64().Draw(t, "prepared"),
		Topic:          strings.Repeat("t", rapid.IntRange(1, 255).Draw(t, "topic")),
		Properties:     rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "properties"),
	}
	m.SetBody(rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "body"))
	return m
}

func TestDecodedRecordIsWhatWasWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := anyMessage(t)
		b := encode(m)
		if err := Fill(b, 11, 22, 33); err != nil {
			t.Fatal(err)
		}
		r, rest, err := Decode(append(b, "next"...))
		if err != nil {
			t.Fatal(err)
		}
		want := Record{
			QueueID: m.QueueID, Flag: m.Flag, QueueOffset: 11, Position: 22, StoreTimestamp: 33,
			SystemFlag: m.wireFlag(), BornTimestamp: m.BornTimestamp, ReconsumeTimes: m.ReconsumeTimes,
			BornHost:       netip.AddrPortFrom(m.BornHost.Addr().Unmap(), m.BornHost.Port()),
			StoreHost:      netip.AddrPortFrom(m.StoreHost.Addr().Unmap(), m.StoreHost.Port()),
			PreparedOffset: m.PreparedOffset, Body: m.body, BodySum: BodySum(m.body),
			Topic: []byte(m.Topic), Properties: m.Properties,
		}
		same := cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })
		empty := cmp.Comparer(func(a, b []byte) bool { return bytes.Equal(a, b) })
		if diff := cmp.Diff(want, r, same, empty); diff != "" {
			t.Fatalf("record differs (-written +read):\n%s", diff)
		}
		if string(rest) != "next" {
			t.Fatalf("rest is %q", rest)
		}
	})
}

func TestTopicLongerThan127BytesMakesAVersion2Record(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		topicBytes int
		magic      uint32
	}{{127, 0xDAA320A7}, {128, 0xDAA320AB}, {255, 0xDAA320AB}} {
		m := golden()
		m.Topic = strings.Repeat("x", c.topicBytes)
		if got := binary.BigEndian.Uint32(encode(m)[4:]); got != c.magic {
			t.Errorf("topic of %d bytes: magic %08x, want %08x", c.topicBytes, got, c.magic)
		}
	}
}

func TestEveryCutOfARecordIsRefused(t *testing.T) {
	t.Parallel()
	b := encode(golden())
	for n := range b {
		if _, _, err := Decode(b[:n]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d of %d bytes: error %v, want ErrCorrupt", n, len(b), err)
		}
		if err := Fill(b[:n], 1, 2, 3); !errors.Is(err, ErrCorrupt) {
			t.Errorf("fill %d of %d bytes: error %v, want ErrCorrupt", n, len(b), err)
		}
	}
}

func TestLengthsThatDisagreeAreRefused(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(b []byte){
		"size one too small":    func(b []byte) { b[3]-- },
		"size one too large":    func(b []byte) { b[3]++ },
		"size near 4 GiB":       func(b []byte) { b[0] = 0xFF },
		"magic":                 func(b []byte) { b[7]++ },
		"host said to be IPv6":  func(b []byte) { b[39] |= byte(FlagBornHostIPv6) },
		"body longer than left": func(b []byte) { b[84] = 0x7F },
		"topic one too long":    func(b []byte) { b[93]++ },
		"properties too short":  func(b []byte) { b[104]-- },
	} {
		b := encode(golden())
		damage(b)
		if _, _, err := Decode(b); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: error %v, want ErrCorrupt", name, err)
		}
	}
}

func FuzzDecodeNeverReadsOutside(f *testing.F) {
	f.Add(encode(golden()))
	six := golden()
	six.BornHost, six.StoreHost = netip.MustParseAddrPort("[::1]:1"), netip.MustParseAddrPort("[::1]:2")
	six.Topic = strings.Repeat("x", 200)
	f.Add(encode(six))
	f.Add(encode(golden())[:91])
	f.Fuzz(func(t *testing.T, b []byte) {
		r, rest, err := Decode(b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatalf("error %v is not ErrCorrupt", err)
			}
			return
		}
		if len(r.Body)+len(r.Topic)+len(r.Properties)+len(rest) > len(b) {
			t.Fatal("fields are larger than the input")
		}
		if err := Fill(b, 1, 2, 3); err != nil {
			t.Fatalf("a record that decodes can't be filled: %v", err)
		}
	})
}

func TestTagCodeIsJavasStringHash(t *testing.T) {
	t.Parallel()
	for tag, want := range map[string]int32{"": 0, "TagA": 2598919, "TagB": 2598920, "TopicTest#key1": -1655984460} {
		if got := TagCode([]byte(tag)); got != want {
			t.Errorf("code of %q is %d, want %d", tag, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		tag := rapid.String().Draw(t, "tag")
		var want int32
		for _, unit := range utf16.Encode([]rune(tag)) {
			want = 31*want + int32(unit)
		}
		if got := TagCode([]byte(tag)); got != want {
			t.Fatalf("code of %q is %d, want %d", tag, got, want)
		}
	})
}

func TestWritingARecordDoesNotAllocate(t *testing.T) {
	m, body := golden(), []byte("hello")
	dst := make([]byte, m.PayloadBytes())
	if n := testing.AllocsPerRun(100, func() {
		m.SetBody(body)
		m.PutPayload(dst[:m.PayloadBytes()])
		if Fill(dst, 1, 2, 3) != nil {
			t.Fatal("fill failed")
		}
		if _, _, err := Decode(dst); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations per record, want none", n)
	}
}

func TestTheStoreHostIsReplacedWhereARecordHasRoomForIt(t *testing.T) {
	t.Parallel()
	four, six := netip.MustParseAddrPort("10.0.0.7:10931"), netip.MustParseAddrPort("[2001:db8::7]:10931")
	for _, c := range []struct{ born, was, set, want string }{
		{"10.0.0.1:1", "10.0.0.2:2", four.String(), four.String()},
		{"[::1]:1", "10.0.0.2:2", four.String(), four.String()},
		{"10.0.0.1:1", "[::2]:2", six.String(), six.String()},
		{"10.0.0.1:1", "[::2]:2", four.String(), "[::2]:2"},
		{"10.0.0.1:1", "10.0.0.2:2", six.String(), "10.0.0.2:2"},
	} {
		m := golden()
		m.BornHost, m.StoreHost = netip.MustParseAddrPort(c.born), netip.MustParseAddrPort(c.was)
		got := encode(m)
		before, _, _ := Decode(bytes.Clone(got))
		if err := SetStoreHost(got, netip.MustParseAddrPort(c.set)); err != nil {
			t.Fatal(err)
		}
		r, _, err := Decode(got)
		if err != nil || r.StoreHost.String() != c.want {
			t.Errorf("%+v: the store host is %v, %v", c, r.StoreHost, err)
		}
		r.StoreHost = before.StoreHost
		if diff := cmp.Diff(before, r, cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
			t.Errorf("%+v: more than the store host changed (-was +is):\n%s", c, diff)
		}
	}
}
