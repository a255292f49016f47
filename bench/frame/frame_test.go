package frame

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/iotest"
)

func TestBinaryFrameMatchesTheKnownBytes(t *testing.T) {
	t.Parallel()
	head := Encode(Binary, Request{Code: 105, Fields: []Field{{"topic", "T"}}}, 0)
	got := bytes.Clone(head.Bytes)
	head.PutOpaque(got, OpaqueBase+1)
	want := "00000025" + "01000021" + "0069" + "09" + "01df" + "3b9aca01" + "00000000" + "00000000" +
		"0000000c" + "0005" + "746f706963" + "00000001" + "54"
	if hex.EncodeToString(got) != want {
		t.Fatalf("got  %x\nwant %s", got, want)
	}
}

func TestJSONHeaderIsValidAfterPatching(t *testing.T) {
	t.Parallel()
	head := Encode(JSON, Request{Code: 310, Fields: []Field{{"i", "WAIT\x01true\x02"}, {"e", "7"}}}, 5)
	b := append(bytes.Clone(head.Bytes), "hello"...)
	head.PutOpaque(b, OpaqueMax)
	f, size, complete, err := Split(b)
	if err != nil || !complete || size != len(b) || string(f.Body) != "hello" {
		t.Fatalf("split: %v, complete %v, size %d of %d, body %q", err, complete, size, len(b), f.Body)
	}
	var decoded struct {
		Code, Opaque int32
		ExtFields    map[string]string
	}
	if err := json.Unmarshal(f.Header, &decoded); err != nil {
		t.Fatal(err)
	}
	if decoded.Code != 310 || decoded.Opaque != OpaqueMax || decoded.ExtFields["i"] != "WAIT\x01true\x02" {
		t.Fatalf("decoded %+v", decoded)
	}
}

func TestCodeAndOpaqueAreFoundWhateverTheOrder(t *testing.T) {
	t.Parallel()
	for header, want := range map[string][2]int32{
		`{"code":0,"flag":1,"opaque":1000000003}`:                                   {0, 1000000003},
		`{"remark":"\"code\":9 \"opaque\":9","opaque":5,"extFields":{},"code":-17}`: {-17, 5},
		`{"extFields":{"code":"x","opaque":"y"},"opaque": 2147483647,"code": 12}`:   {12, 2147483647},
	} {
		f := Frame{Header: []byte(header)}
		code, opaque, err := f.CodeAndOpaque()
		if err != nil || code != want[0] || opaque != want[1] {
			t.Errorf("%s: code %d opaque %d err %v", header, code, opaque, err)
		}
	}
}

func TestHeaderWithoutNumbersIsMalformed(t *testing.T) {
	t.Parallel()
	for _, header := range []string{``, `{}`, `{"code":1}`, `{"code":1,"opaque":99999999999}`, `{"code":,"opaque":1}`} {
		f := Frame{Header: []byte(header)}
		if _, _, err := f.CodeAndOpaque(); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: err %v", header, err)
		}
	}
}

func TestFieldAndRemarkAreReadFromBothEncodings(t *testing.T) {
	t.Parallel()
	for _, s := range []Serialization{JSON, Binary} {
		head := Encode(s, Request{Code: 1, Fields: []Field{{"queueId", "3"}, {"nextBeginOffset", "77"}}}, 0)
		f, _, _, err := Split(head.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		if v, ok := f.Field("nextBeginOffset"); !ok || string(v) != "77" {
			t.Errorf("%v: field %q %v", s, v, ok)
		}
		if _, ok := f.Field("minOffset"); ok {
			t.Errorf("%v: found a field that is not there", s)
		}
		if f.Remark() != "" {
			t.Errorf("%v: remark %q", s, f.Remark())
		}
	}
	f := Frame{Header: []byte(`{"remark":"no \"topic\"","code":17}`)}
	if got := f.Remark(); got != `no \"topic\"` {
		t.Errorf("remark %q", got)
	}
}

func TestBadLengthsAreRefused(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"length too short":      "0000000300000000",
		"length too long":       "0100000100000000",
		"header beyond frame":   "0000000800000005",
		"unknown serialization": "0000000802000001",
	} {
		b, _ := hex.DecodeString(text)
		if _, _, _, err := Split(b); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: err %v", name, err)
		}
	}
}

func TestReaderHandsOutFramesWhateverTheReadsAre(t *testing.T) {
	t.Parallel()
	var stream bytes.Buffer
	sizes := []int{0, 10, 5000, 1, 300}
	for _, n := range sizes {
		stream.Write(Encode(JSON, Request{Code: int32(n)}, n).Bytes)
		stream.WriteString(strings.Repeat("x", n))
	}
	whole := stream.Bytes()
	for name, source := range map[string]*Reader{
		"one byte at a time": NewReader(iotest.OneByteReader(bytes.NewReader(whole)), 64),
		"all at once":        NewReader(bytes.NewReader(whole), 1<<16),
		"a small buffer":     NewReader(bytes.NewReader(whole), 32),
	} {
		var got []int
		for len(got) < len(sizes) {
			f, ok, err := source.Next()
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !ok {
				if err := source.Fill(); err != nil {
					t.Fatalf("%s: after %v: %v", name, got, err)
				}
				continue
			}
			code, _, err := f.CodeAndOpaque()
			if err != nil || int(code) != len(f.Body) {
				t.Fatalf("%s: code %d, body %d, err %v", name, code, len(f.Body), err)
			}
			got = append(got, len(f.Body))
		}
		for i := range sizes {
			if got[i] != sizes[i] {
				t.Fatalf("%s: got %v, want %v", name, got, sizes)
			}
		}
	}
}

func TestScanningAllocatesNothing(t *testing.T) {
	whole := Encode(JSON, Request{Code: 10, Fields: []Field{{"msgId", "7F"}}}, 0).Bytes
	allocations := testing.AllocsPerRun(100, func() {
		f, _, _, _ := Split(whole)
		if _, _, err := f.CodeAndOpaque(); err != nil {
			t.Fatal(err)
		}
	})
	if allocations != 0 {
		t.Fatalf("%v allocations per frame", allocations)
	}
}

func FuzzSplit(f *testing.F) {
	f.Add(Encode(JSON, Request{Code: 310, Fields: []Field{{"a", "b"}}}, 0).Bytes)
	f.Add(Encode(Binary, Request{Code: 310, Fields: []Field{{"a", "b"}}}, 0).Bytes)
	f.Add([]byte{0, 0, 0, 4, 1, 0, 0, 0})
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		frame, size, complete, err := Split(b)
		if err != nil {
			return
		}
		if !complete {
			if size <= len(b) {
				t.Fatalf("incomplete, yet %d bytes are needed and %d are there", size, len(b))
			}
			return
		}
		if size != prefixBytes+len(frame.Header)+len(frame.Body) {
			t.Fatalf("size %d, header %d, body %d", size, len(frame.Header), len(frame.Body))
		}
		_, _, _ = frame.CodeAndOpaque()
		_, _ = frame.Field("a")
		_ = frame.Remark()
	})
}
