package simdisk_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sort"
	"strings"
	"testing"
	"unsafe"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
)

const (
	sector = simdisk.SectorBytes
	block  = 4096
	seeds  = 200
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, d disk.Disk, name string, mode disk.Mode) disk.File {
	t.Helper()
	f, err := d.Open(name, mode)
	must(t, err)
	return f
}

// created makes a file whose name is durable.
func created(t testing.TB, d disk.Disk, name string) disk.File {
	t.Helper()
	f := open(t, d, name, disk.Create)
	must(t, d.SyncDir("."))
	return f
}

func write(t testing.TB, f disk.File, at int64, data []byte) {
	t.Helper()
	_, err := f.WriteAt(data, at)
	must(t, err)
}

// repeat makes size bytes of one letter.
func repeat(letter byte, size int) []byte { return bytes.Repeat([]byte{letter}, size) }

// contents returns the bytes of a file, and whether it exists.
func contents(t testing.TB, d disk.Disk, name string) ([]byte, bool) {
	t.Helper()
	f, err := d.Open(name, disk.Read)
	if errors.Is(err, disk.ErrNotFound) {
		return nil, false
	}
	must(t, err)
	defer f.Close()
	size, err := f.Size()
	must(t, err)
	data := make([]byte, size)
	if _, err := f.ReadAt(data, 0); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return data, true
}

// letters names the state of a file: one character for each sector, the
// letter that it is full of, 0 for zeros, ? for a mix.
func letters(t testing.TB, d disk.Disk, name string) string {
	t.Helper()
	data, found := contents(t, d, name)
	if !found {
		return "gone"
	}
	var b strings.Builder
	for at := 0; at < len(data); at += sector {
		part := data[at:min(at+sector, len(data))]
		switch {
		case bytes.Count(part, part[:1]) < len(part):
			b.WriteByte('?')
		case part[0] == 0:
			b.WriteByte('0')
		default:
			b.WriteByte(part[0])
		}
	}
	return b.String()
}

// outcomes crashes one disk per seed and counts what is found.
func outcomes(t *testing.T, o simdisk.Options, prepare func(d *simdisk.Disk), look func(after *simdisk.Disk) string) map[string]int {
	t.Helper()
	found := map[string]int{}
	for seed := range uint64(seeds) {
		d := simdisk.New(seed, o)
		prepare(d)
		found[look(d.Crash())]++
	}
	return found
}

// onlyThese fails unless every state of want was found, and no other.
func onlyThese(t *testing.T, found map[string]int, want ...string) {
	t.Helper()
	allowed := map[string]bool{}
	for _, state := range want {
		allowed[state] = true
		if found[state] == 0 {
			t.Errorf("state %q was never found in %d crashes", state, seeds)
		}
	}
	for state, count := range found {
		if !allowed[state] {
			t.Errorf("state %q was found %d times; it can't be", state, count)
		}
	}
}

// aligned returns memory for direct I/O.
func aligned(size int) []byte {
	raw := make([]byte, size+block)
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(raw))) & (block - 1)
	return raw[skip : int(skip)+size : int(skip)+size]
}

// dump writes everything that can be seen on a disk.
func dump(t testing.TB, d disk.Disk, dirs ...string) string {
	t.Helper()
	var lines []string
	for _, dir := range append(dirs, ".") {
		names, err := d.List(dir)
		if errors.Is(err, disk.ErrNotFound) {
			continue
		}
		must(t, err)
		for _, name := range names {
			data, _ := contents(t, d, dir+"/"+name)
			if dir == "." {
				data, _ = contents(t, d, name)
			}
			lines = append(lines, fmt.Sprintf("%s/%s %q", dir, name, data))
		}
	}
	sort.Strings(lines)
	return strings.Join(lines, "\n")
}

// drain waits until count operations completed, and returns their tags.
func drain(t testing.TB, q disk.Queue, count int) []uint64 {
	t.Helper()
	var tags []uint64
	done := make([]disk.Completion, count)
	for len(tags) < count {
		n, err := q.Wait(done)
		must(t, err)
		for _, c := range done[:n] {
			must(t, c.Err)
			tags = append(tags, c.Tag)
		}
	}
	return tags
}
