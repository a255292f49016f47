package commitlog

import (
	"bytes"
	"encoding/hex"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares b with a checked-in file of format version 1.
func golden(t *testing.T, name string, b []byte) {
	t.Helper()
	path := filepath.Join("testdata", "golden", "v1", name)
	got := []byte(hex.Dump(b))
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: the format has changed\n%s\nwant\n%s", name, got, want)
	}
}

var goldenLog = event.LogID{0: 0xa0, 15: 0x0f}

func goldenHeader() Header {
	return Header{
		Kind: FrameEvents, DataBytes: 5, Events: 1, Index: 42, Term: 3, Position: 1 << 33,
		Timestamp: 1700000000000, Chain: 0xdeadbeef, DataCRC: event.Checksum(goldenLog.Seed(), []byte("hello")), DurableWhenBuilt: 40,
	}
}

func TestFormatsAreThoseOfTheGoldenFiles(t *testing.T) {
	t.Parallel()
	seed := goldenLog.Seed()
	frame := make([]byte, frameBytes(5))
	h := goldenHeader()
	h.put(frame, seed)
	copy(frame[headerBytes:], "hello")
	golden(t, "frame.hex", frame)

	events := append(encoded(seed, 1, 10), encoded(seed, 2, 20)...)
	h.DataBytes, h.Events, h.DataCRC = uint32(len(events)), 2, sumOf(FrameEvents, events, seed)
	frame = make([]byte, frameBytes(len(events)))
	h.put(frame, seed)
	copy(frame[headerBytes:], events)
	golden(t, "events.hex", frame)

	block := make([]byte, 512)
	s := segment{bytes: 1 << 30, start: chain{index: 41, term: 3, position: 1 << 33, timestamp: 1700000000000, crc: 0xdeadbeef}}
	s.encodeHeader(block, goldenLog)
	golden(t, "segment.hex", block)

	meta := make([]byte, blockHeaderBytes+metaPayloadBytes)
	putBlock(meta, blockMeta, 0, bytes.Repeat([]byte{1, 2, 3, 4}, 12))
	golden(t, "meta.hex", meta)

	mark := make([]byte, blockHeaderBytes+markPayloadBytes)
	putBlock(mark, blockMark, seed, []byte{42, 0, 0, 0, 0, 0, 0, 0})
	golden(t, "mark.hex", mark)

	d := openPosix(t)
	if err := writeRunning(d, seed, [16]byte{9, 8, 7}); err != nil {
		t.Fatal(err)
	}
	if err := writeLoss(d, seed, Loss{Cause: event.LostByPower, Kept: 41, Position: 1 << 33, Had: 45}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{runningName, lostName} {
		b, err := disk.ReadWhole(d, name, recordBytesMax)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, name+".hex", b)
	}
}

func TestAHeaderIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	seed := goldenLog.Seed()
	want := goldenHeader()
	b := make([]byte, headerBytes)
	want.put(b, seed)
	got, err := decodeHeader(b, seed)
	if err != nil || got != want {
		t.Fatalf("decoded %+v, %v, want %+v", got, err, want)
	}
	for i := range sharedHeaderBytes {
		bad := bytes.Clone(b)
		bad[i] ^= 0x10
		if _, err := decodeHeader(bad, seed); err == nil {
			t.Errorf("a flipped bit in header byte %d goes unnoticed", i)
		}
	}
	for i := sharedHeaderBytes; i < headerBytes; i++ {
		bad := bytes.Clone(b)
		bad[i] ^= 0x10
		if got, err := decodeHeader(bad, seed); err != nil || got.DurableWhenBuilt != 0 {
			t.Errorf("damaged local byte %d: %+v, %v; the frame must hold and the mark not count", i, got, err)
		}
	}
	if _, err := decodeHeader(b, seed+1); err == nil {
		t.Error("a frame of another log passes")
	}
}

func TestSegmentNamesAreParsedStrictly(t *testing.T) {
	t.Parallel()
	for _, base := range []event.Position{0, 1, 1 << 40, 1<<64 - 1} {
		if got, ok := parseSegmentName(segmentName(base)); !ok || got != base {
			t.Errorf("%d: parsed as %d, %v", base, got, ok)
		}
	}
	for _, name := range []string{"", "meta", "1.seg", "0000000000000000000x.seg", "+0000000000000000001.seg", "00000000000000000001.log", "99999999999999999999.seg"} {
		if got, ok := parseSegmentName(name); ok {
			t.Errorf("%q is accepted as %d", name, got)
		}
	}
}

func FuzzDecodeHeaderNeverAcceptsWhatPutWouldNotWrite(f *testing.F) {
	seed := goldenLog.Seed()
	b := make([]byte, headerBytes)
	h := goldenHeader()
	h.put(b, seed)
	f.Add(b)
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := decodeHeader(b, seed)
		if err != nil {
			return
		}
		again := make([]byte, headerBytes)
		h.put(again, seed)
		if !bytes.Equal(again[:6], b[:6]) || !bytes.Equal(again[8:56], b[8:56]) {
			t.Errorf("header % x is read as % x", b[:headerBytes], again)
		}
	})
}

func FuzzDecodeSegmentHeader(f *testing.F) {
	b := make([]byte, 512)
	s := segment{bytes: 1 << 20, start: chain{index: 41, term: 3, position: 1 << 33}}
	s.encodeHeader(b, goldenLog)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		s, block, err := decodeSegment(b, goldenLog)
		if err == nil && (s.bytes <= block || block <= 0) {
			t.Errorf("accepted a segment of %d bytes with frames from %d", s.bytes, block)
		}
	})
}

func TestAFrameThatBreaksTheChainIsRefused(t *testing.T) {
	t.Parallel()
	h := goldenHeader()
	before := chain{index: h.Index - 1, term: h.Term, position: h.Position, timestamp: h.Timestamp, crc: h.Chain}
	if err := before.follows(&h); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]chain{
		"chain":     {index: before.index, term: before.term, position: before.position, timestamp: before.timestamp, crc: before.crc + 1},
		"index":     {index: before.index - 1, term: before.term, position: before.position, timestamp: before.timestamp, crc: before.crc},
		"position":  {index: before.index, term: before.term, position: before.position + 8, timestamp: before.timestamp, crc: before.crc},
		"term":      {index: before.index, term: before.term + 1, position: before.position, timestamp: before.timestamp, crc: before.crc},
		"timestamp": {index: before.index, term: before.term, position: before.position, timestamp: before.timestamp + 1, crc: before.crc},
	} {
		if err := bad.follows(&h); err == nil {
			t.Errorf("a frame with another %s is accepted", name)
		}
	}
}

func TestTheMarkFileIsReadBackAndATornOneCountsAsNone(t *testing.T) {
	t.Parallel()
	d := openPosix(t)
	seed := goldenLog.Seed()
	if got, err := readMark(d, seed); err != nil || got != 0 {
		t.Errorf("no file: mark %d", got)
	}
	for _, want := range []event.Index{7, 1 << 40} {
		if err := writeMark(d, seed, want); err != nil {
			t.Fatal(err)
		}
		if got, err := readMark(d, seed); err != nil || got != want {
			t.Errorf("mark %d, want %d", got, want)
		}
	}
	if got, err := readMark(d, seed+1); err != nil || got != 0 {
		t.Errorf("the mark of another log counts: %d", got)
	}
}

func TestReadersOfATrimmedSegmentLeaveBeforeItsFileGoes(t *testing.T) {
	t.Parallel()
	s := &segment{}
	s.setFile(nil)
	entered, leave := make(chan struct{}), make(chan struct{})
	s.reading.RLock()
	go func() {
		close(entered)
		<-leave
		s.reading.RUnlock()
	}()
	<-entered
	retired := make(chan struct{})
	go func() {
		s.retire()
		close(retired)
	}()
	select {
	case <-retired:
		t.Fatal("retired under a reader")
	case <-time.After(50 * time.Millisecond):
	}
	close(leave)
	<-retired
}
