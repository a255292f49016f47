package checkpoint_test

import (
	"bytes"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/apogeemq/apogee/engine/checkpoint"
	"github.com/apogeemq/apogee/engine/event"
	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var updateGolden = flag.Bool("update-golden", false, "write the golden files anew")

var testLog = event.LogID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}

func testHeader() checkpoint.Header {
	return checkpoint.Header{LogID: testLog, Index: 1 << 40, Term: 7, Position: 1 << 50, Timestamp: 1_700_000_000_000,
		ChainCRC: 0xdeadbeef, Configuration: []byte("the configuration")}
}

// section is a checkpoint.Section of bytes that it writes in pieces.
type section struct {
	name  string
	bytes []byte
	piece int
}

func (s section) Name() string { return s.name }

func (s section) Checkpoint(w io.Writer) error {
	for piece := range slices.Chunk(s.bytes, max(s.piece, 1)) {
		if n, err := w.Write(piece); err != nil || n != len(piece) {
			return err
		}
	}
	return nil
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7 >> 3)
	}
	return b
}

type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

func write(t failer, h checkpoint.Header, sections ...checkpoint.Section) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := checkpoint.Write(&b, h, sections...); err != nil {
		t.Fatalf("%v", err)
	}
	return b.Bytes()
}

// read returns all sections by name.
func read(r io.Reader) (checkpoint.Header, []section, error) {
	c, err := checkpoint.NewReader(r, testLog)
	if err != nil {
		return checkpoint.Header{}, nil, err
	}
	var sections []section
	for {
		name, in, err := c.Next()
		if errors.Is(err, io.EOF) {
			return c.Header(), sections, nil
		}
		if err != nil {
			return checkpoint.Header{}, nil, err
		}
		b, err := io.ReadAll(in)
		if err != nil {
			return checkpoint.Header{}, nil, err
		}
		sections = append(sections, section{name: name, bytes: b})
	}
}

func compare(t failer, wantHeader, gotHeader checkpoint.Header, want, got []section) {
	t.Helper()
	if diff := gocmp.Diff(wantHeader, gotHeader); diff != "" {
		t.Fatalf("%s", diff)
	}
	if !slices.EqualFunc(want, got, func(a, b section) bool { return a.name == b.name && bytes.Equal(a.bytes, b.bytes) }) {
		t.Fatalf("%d sections differ from the %d written", len(got), len(want))
	}
}

func small() []byte {
	return mustWrite(testHeader(), section{"queue", pattern(100), 7}, section{"empty", nil, 1}, section{"topic", []byte("t"), 1})
}

func mustWrite(h checkpoint.Header, sections ...checkpoint.Section) []byte {
	var b bytes.Buffer
	if err := checkpoint.Write(&b, h, sections...); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		h := testHeader()
		h.Configuration = rapid.SliceOf(rapid.Byte()).Draw(t, "configuration")
		if len(h.Configuration) == 0 {
			h.Configuration = nil
		}
		var want []section
		var sections []checkpoint.Section
		for _, name := range rapid.SliceOfNDistinct(rapid.StringN(1, 8, 64), 0, 4, rapid.ID[string]).Draw(t, "names") {
			size := rapid.SampledFrom([]int{0, 1, 100, 256<<10 - 1, 256 << 10, 256<<10 + 1, 600 << 10}).Draw(t, "size")
			piece := rapid.SampledFrom([]int{999, 64 << 10, 700 << 10}).Draw(t, "piece")
			want = append(want, section{name: name, bytes: pattern(size)})
			sections = append(sections, section{name, pattern(size), piece})
		}
		file := write(t, h, sections...)
		for _, r := range []io.Reader{bytes.NewReader(file), iotest.HalfReader(bytes.NewReader(file)), iotest.DataErrReader(bytes.NewReader(file))} {
			gotHeader, got, err := read(r)
			if err != nil {
				t.Fatalf("%v", err)
			}
			compare(t, h, gotHeader, want, got)
		}
		if gotHeader, err := checkpoint.Verify(bytes.NewReader(file), testLog); err != nil || gotHeader.Index != h.Index {
			t.Fatalf("verify: %+v, %v", gotHeader, err)
		}
	})
}

func TestTheFileIsThatOfVersion1(t *testing.T) {
	t.Parallel()
	name := filepath.Join("testdata", "golden-v1")
	if *updateGolden {
		if err := os.WriteFile(name, small(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got := small(); !bytes.Equal(got, want) {
		t.Fatalf("the bytes of version 1 have changed:\n got %x\nwant %x", got, want)
	}
}

func TestEveryShorterFileIsCorruptWithItsPlace(t *testing.T) {
	t.Parallel()
	file := small()
	for n := range file {
		_, err := checkpoint.Verify(bytes.NewReader(file[:n]), testLog)
		if !errors.Is(err, checkpoint.ErrCorrupt) || !strings.Contains(err.Error(), "byte ") || errors.Is(err, io.EOF) {
			t.Fatalf("%d of %d bytes: %v", n, len(file), err)
		}
	}
	if _, err := checkpoint.Verify(bytes.NewReader(append(file, 0)), testLog); !errors.Is(err, checkpoint.ErrCorrupt) {
		t.Fatalf("one byte more: %v", err)
	}
}

func TestEveryFlippedBitIsFoundBeforeItsByteIsHandedOut(t *testing.T) {
	t.Parallel()
	good := small()
	_, want, err := read(bytes.NewReader(good))
	if err != nil {
		t.Fatal(err)
	}
	for bit := range 8 * len(good) {
		file := slices.Clone(good)
		file[bit/8] ^= 1 << (bit % 8)
		c, err := checkpoint.Inspect(bytes.NewReader(file))
		for i := 0; err == nil; i++ {
			var in io.Reader
			if _, in, err = c.Next(); err != nil {
				break
			}
			var got []byte
			if got, err = io.ReadAll(in); !bytes.HasPrefix(want[i].bytes, got) {
				t.Fatalf("bit %d: section %d gave %x", bit, i, got)
			}
		}
		if !errors.Is(err, checkpoint.ErrCorrupt) && !errors.Is(err, checkpoint.ErrVersion) {
			t.Fatalf("bit %d: %v", bit, err)
		}
	}
}

func TestMagicVersionAndLogAreToldApart(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		damage func(file []byte)
		want   error
		text   string
	}{
		"magic":         {func(b []byte) { b[0] = 'B' }, checkpoint.ErrCorrupt, `begins with "BPOGEECP", expected "APOGEECP"`},
		"newer version": {func(b []byte) { b[8] = 2 }, checkpoint.ErrVersion, "format 2, this program reads up to 1"},
		"version 0":     {func(b []byte) { b[8] = 0 }, checkpoint.ErrCorrupt, "format 0 was never written"},
		"planted id":    {func(b []byte) { b[12] = 99 }, checkpoint.ErrCorrupt, "byte 28: checksum"},
	} {
		file := small()
		c.damage(file)
		if _, err := checkpoint.Verify(bytes.NewReader(file), testLog); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h := testHeader()
	h.LogID[15]++
	file := write(t, h)
	if _, err := checkpoint.Verify(bytes.NewReader(file), testLog); !errors.Is(err, checkpoint.ErrForeign) {
		t.Errorf("another log's: %v", err)
	}
	if c, err := checkpoint.Inspect(bytes.NewReader(file)); err != nil || c.Header().LogID != h.LogID {
		t.Errorf("inspected: %v", err)
	}
}

func TestASectionThatIsMissingRepeatedOrMovedIsFound(t *testing.T) {
	t.Parallel()
	a, b := section{"a", pattern(10), 1}, section{"b", pattern(10), 1}
	start := len(write(t, testHeader())) - trailerBytes
	both := write(t, testHeader(), a, b)
	one := len(write(t, testHeader(), a)) - trailerBytes - start
	head, first, second, trailer := both[:start], both[start:start+one], both[start+one:start+2*one], both[start+2*one:]
	for name, file := range map[string][]byte{
		"first missing":    slices.Concat(head, second, trailer),
		"second missing":   slices.Concat(head, first, trailer),
		"both missing":     slices.Concat(head, trailer),
		"swapped":          slices.Concat(head, second, first, trailer),
		"repeated":         slices.Concat(head, first, first, second, trailer),
		"header repeated":  slices.Concat(head, head[28:], first, second, trailer),
		"trailer repeated": slices.Concat(head, first, second, trailer, trailer),
	} {
		if _, err := checkpoint.Verify(bytes.NewReader(file), testLog); !errors.Is(err, checkpoint.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := checkpoint.Verify(bytes.NewReader(slices.Concat(head, first, second, trailer)), testLog); err != nil {
		t.Errorf("put together as it was: %v", err)
	}
}

const trailerBytes = 5 + 12 + 4

func TestNextPassesOverASectionThatIsNotReadToItsEnd(t *testing.T) {
	t.Parallel()
	file := write(t, testHeader(), section{"long", pattern(700 << 10), 1 << 20}, section{"next", []byte("here"), 1})
	c, err := checkpoint.NewReader(bytes.NewReader(file), testLog)
	if err != nil {
		t.Fatal(err)
	}
	_, long, err := c.Next()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(long, make([]byte, 300<<10)); err != nil {
		t.Fatal(err)
	}
	name, in, err := c.Next()
	if err != nil || name != "next" {
		t.Fatalf("section %q, %v", name, err)
	}
	if n, err := long.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, io.EOF) {
		t.Fatalf("a section that has passed gave %d bytes, %v", n, err)
	}
	if err := iotest.TestReader(in, []byte("here")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, _, err := c.Next(); !errors.Is(err, io.EOF) {
			t.Fatalf("at the end: %v", err)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add(small())
	f.Add(small()[:60])
	f.Add(mustWrite(testHeader()))
	f.Add(mustWrite(checkpoint.Header{LogID: testLog}, section{"large", pattern(300 << 10), 1 << 20}))
	f.Add([]byte("APOGEECP\x01\x00\x00\x00 0123456789abcdef\x01\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, file []byte) {
		h, sections, err := read(bytes.NewReader(file))
		if err != nil {
			known := errors.Is(err, checkpoint.ErrCorrupt) || errors.Is(err, checkpoint.ErrVersion) || errors.Is(err, checkpoint.ErrForeign)
			if !known {
				t.Fatalf("%v is of no known class", err)
			}
			return
		}
		again := make([]checkpoint.Section, len(sections))
		for i, s := range sections {
			again[i] = section{s.name, s.bytes, 1 << 20}
		}
		gotHeader, got, err := read(bytes.NewReader(write(t, h, again...)))
		if err != nil {
			t.Fatal(err)
		}
		compare(t, h, gotHeader, sections, got)
	})
}
