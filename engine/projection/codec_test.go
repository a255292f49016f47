package projection_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/apogeemq/apogee/engine/projection"
)

func TestADecoderReadsWhatAnEncoderWrote(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	e := projection.NewEncoder(&b)
	e.Uint32(7)
	e.Uint64(1 << 60)
	e.Text("a text")
	e.Bytes([]byte{1, 2})
	if err := e.Flush(); err != nil {
		t.Fatal(err)
	}
	d := projection.NewDecoder("test", &b)
	d.Format(7)
	number, text, rest := d.Uint64(), d.Text(6), make([]byte, 2)
	d.Bytes(rest)
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	if number != 1<<60 || text != "a text" || !bytes.Equal(rest, []byte{1, 2}) {
		t.Fatalf("got %d, %q and %x", number, text, rest)
	}
}

func TestADecoderNamesProjectionAndByteOfItsFirstError(t *testing.T) {
	t.Parallel()
	for want, read := range map[string]func(d *projection.Decoder){
		"byte 4: format 3, this version reads 1": func(d *projection.Decoder) { d.Format(1) },
		"byte 8: the checkpoint ends here":       func(d *projection.Decoder) { d.Uint32(); d.Uint64() },
		"byte 4: a text of 3 bytes, at most 2":   func(d *projection.Decoder) { d.Text(2) },
		"byte 4: bytes follow the end":           func(d *projection.Decoder) { d.Uint32() },
		"byte 0: first":                          func(d *projection.Decoder) { d.Fail("first"); d.Fail("second"); d.Uint32() },
	} {
		d := projection.NewDecoder("test", bytes.NewReader([]byte{3, 0, 0, 0, 9, 0, 0, 0}))
		read(d)
		err := d.Close()
		if !errors.Is(err, projection.ErrCorrupt) || !strings.Contains(err.Error(), "restore test: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, expected ErrCorrupt with %q", err, want)
		}
		if d.Uint64() != 0 {
			t.Errorf("a number was read after %v", err)
		}
	}
}

func TestADecoderDoesNotAllocateByALengthItHasNotChecked(t *testing.T) {
	t.Parallel()
	d := projection.NewDecoder("test", bytes.NewReader(bytes.Repeat([]byte{0xff}, 100)))
	if s := d.Text(1 << 20); s != "" || !errors.Is(d.Err(), projection.ErrCorrupt) {
		t.Fatalf("got %q, %v", s, d.Err())
	}
}
