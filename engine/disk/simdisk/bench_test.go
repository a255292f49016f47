package simdisk_test

import (
	"testing"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
)

// BenchmarkCrash is a power cut on a disk with 64 files of 256 KiB, 64
// unsynced sectors and 4 unsynced names: what a crash test does most.
func BenchmarkCrash(b *testing.B) {
	d := simdisk.New(1, simdisk.Options{})
	names := make([]string, 64)
	for i := range names {
		names[i] = string(rune('a'+i/8)) + string(rune('a'+i%8))
		f := open(b, d, names[i], disk.Create)
		write(b, f, 0, repeat('x', 256<<10))
		must(b, f.Sync())
	}
	must(b, d.SyncDir("."))
	for i := range 8 {
		write(b, open(b, d, names[i], disk.ReadWrite), 0, repeat('y', 8*sector))
	}
	for i := range 4 {
		must(b, d.Remove(names[60+i]))
	}
	b.ReportAllocs()
	for b.Loop() {
		d.Crash()
	}
}

// BenchmarkCrashCycle is a whole small workload: a segment, a few writes and
// syncs through the queue, a power cut.
func BenchmarkCrashCycle(b *testing.B) {
	seed := uint64(0)
	for b.Loop() {
		seed++
		d := simdisk.New(seed, simdisk.Options{})
		must(b, workload(b, d, func(byte) {}))
		d.Crash()
	}
}
