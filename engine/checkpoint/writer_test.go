package checkpoint_test

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/apogeemq/apogee/engine/checkpoint"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
	"github.com/apogeemq/apogee/engine/projection/topic"
)

var _ checkpoint.Section = projection.Projection(nil)

var errDevice = errors.New("the device is full")

// limitedWriter takes room bytes and fails from then on.
type limitedWriter struct{ room int }

func (w *limitedWriter) Write(b []byte) (int, error) {
	if len(b) > w.room {
		return 0, errDevice
	}
	w.room -= len(b)
	return len(b), nil
}

func TestAWriteErrorComesBackFromEveryPlace(t *testing.T) {
	t.Parallel()
	parts := []checkpoint.Section{section{"a", pattern(300 << 10), 1000}, section{"b", pattern(10), 1}}
	size := len(write(t, testHeader(), parts...))
	for _, room := range []int{0, 27, 28, 100, 150, 1000, 290 << 10, size - 60, size - 25, size - 1} {
		if err := checkpoint.Write(&limitedWriter{room}, testHeader(), parts...); !errors.Is(err, errDevice) {
			t.Errorf("room for %d of %d bytes: %v", room, size, err)
		}
	}
	if err := checkpoint.Write(&limitedWriter{size}, testHeader(), parts...); err != nil {
		t.Errorf("room for all: %v", err)
	}
}

func TestAReadErrorIsNotCorruption(t *testing.T) {
	t.Parallel()
	file := small()
	for n := range file {
		r := io.MultiReader(bytes.NewReader(file[:n]), iotest.ErrReader(errDevice))
		if _, err := checkpoint.Verify(r, testLog); !errors.Is(err, errDevice) || errors.Is(err, checkpoint.ErrCorrupt) {
			t.Fatalf("the device fails at byte %d: %v", n, err)
		}
	}
}

func TestASectionThatFailsLeavesNoCheckpoint(t *testing.T) {
	t.Parallel()
	var file bytes.Buffer
	c, err := checkpoint.NewWriter(&file, testHeader())
	if err != nil {
		t.Fatal(err)
	}
	err = c.Section("bad", func(w io.Writer) error {
		if _, err := w.Write([]byte("half")); err != nil {
			return err
		}
		return errDevice
	})
	if !errors.Is(err, errDevice) || !strings.Contains(err.Error(), "section bad") {
		t.Fatalf("got %v", err)
	}
	if err := c.Close(); !errors.Is(err, errDevice) {
		t.Fatalf("close: %v", err)
	}
	if _, err := checkpoint.Verify(&file, testLog); !errors.Is(err, checkpoint.ErrCorrupt) {
		t.Fatalf("verify: %v", err)
	}
}

func TestTheWriterRefusesWhatNoReaderWouldTake(t *testing.T) {
	t.Parallel()
	h := testHeader()
	h.Configuration = make([]byte, checkpoint.ConfigurationBytesMax)
	if _, err := checkpoint.Verify(bytes.NewReader(write(t, h)), testLog); err != nil {
		t.Errorf("the longest configuration: %v", err)
	}
	h.Configuration = append(h.Configuration, 0)
	if err := checkpoint.Write(io.Discard, h); err == nil {
		t.Error("a configuration that is too long is written")
	}
	for _, names := range [][]string{{""}, {strings.Repeat("n", 65)}, {"twice", "twice"}} {
		var sections []checkpoint.Section
		for _, name := range names {
			sections = append(sections, section{name: name})
		}
		if err := checkpoint.Write(io.Discard, testHeader(), sections...); err == nil {
			t.Errorf("sections %q are written", names)
		}
	}
	c, err := checkpoint.NewWriter(io.Discard, testHeader())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if c.Section("late", section{}.Checkpoint) == nil || c.Close() == nil {
		t.Error("a complete checkpoint takes more")
	}
}

func TestAProjectionGoesThroughTheContainer(t *testing.T) {
	t.Parallel()
	table, restored := topic.New(), topic.New()
	config := event.AppendTopicConfig(nil, event.TopicConfig{Name: "orders", ReadQueues: 8, WriteQueues: 8})
	d := event.Draft{Kind: event.KindTopic, Topic: 1, Payload: event.Bytes(config)}
	e := make([]byte, d.EncodedBytes())
	d.Encode(e, testLog.Seed())
	table.Apply(projection.Place{Timestamp: 5}, e)

	c, err := checkpoint.NewReader(bytes.NewReader(write(t, testHeader(), table)), testLog)
	if err != nil {
		t.Fatal(err)
	}
	name, in, err := c.Next()
	if err != nil || name != restored.Name() {
		t.Fatalf("section %q, %v", name, err)
	}
	if err := restored.Restore(in); err != nil {
		t.Fatal(err)
	}
	if got, found := restored.Get("orders"); !found || got.ChangedAt != 5 {
		t.Fatalf("restored %+v, %v", got, found)
	}
}

func TestWritingAndReadingHoldNoSectionInMemory(t *testing.T) {
	const size = 64 << 20
	in, out := io.Pipe()
	before := allocatedBytes()
	go func() { out.CloseWithError(checkpoint.Write(out, testHeader(), endless{size})) }()
	if _, err := checkpoint.Verify(in, testLog); err != nil {
		t.Fatal(err)
	}
	if used := allocatedBytes() - before; used > size/16 {
		t.Fatalf("%d bytes allocated for a section of %d", used, size)
	}
}

// endless is a section of that many zeros.
type endless struct{ bytes int }

func (e endless) Name() string { return "endless" }

func (e endless) Checkpoint(w io.Writer) error {
	var b [4096]byte
	for range e.bytes / len(b) {
		if _, err := w.Write(b[:]); err != nil {
			return err
		}
	}
	return nil
}

func allocatedBytes() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}
