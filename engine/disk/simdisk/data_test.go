package simdisk_test

import (
	"strings"
	"testing"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
)

func stateOf(t *testing.T, name string) func(*simdisk.Disk) string {
	return func(after *simdisk.Disk) string { return letters(t, after, name) }
}

// sizedFile makes a file whose name, size and letters are durable.
func sizedFile(t *testing.T, d *simdisk.Disk, name string, data []byte) disk.File {
	t.Helper()
	f := created(t, d, name)
	write(t, f, 0, data)
	must(t, f.Sync())
	return f
}

func TestAnUnsyncedWriteIsLostKeptOrTornBySectors(t *testing.T) {
	t.Parallel()
	found := outcomes(t, simdisk.Options{}, func(d *simdisk.Disk) {
		write(t, sizedFile(t, d, "file", repeat('a', 3*sector)), 0, repeat('b', 3*sector))
	}, stateOf(t, "file"))
	onlyThese(t, found, "aaa", "aab", "aba", "abb", "baa", "bab", "bba", "bbb")
}

func TestASyncedWriteIsNeverLost(t *testing.T) {
	t.Parallel()
	for name, sync := range map[string]func(disk.File) error{"Sync": disk.File.Sync, "SyncData": disk.File.SyncData} {
		found := outcomes(t, simdisk.Options{TornSectors: true, StaleBytes: true}, func(d *simdisk.Disk) {
			f := created(t, d, "file")
			write(t, f, 0, repeat('b', 3*sector))
			must(t, sync(f))
		}, stateOf(t, "file"))
		t.Log(name)
		onlyThese(t, found, "bbb")
	}
}

func TestASectorHoldsOneOfItsVersionsSinceTheSync(t *testing.T) {
	t.Parallel()
	found := outcomes(t, simdisk.Options{}, func(d *simdisk.Disk) {
		f := sizedFile(t, d, "file", repeat('a', sector))
		write(t, f, 0, repeat('b', sector))
		must(t, f.SyncData())
		write(t, f, 0, repeat('c', sector))
		write(t, f, 0, repeat('d', sector))
	}, stateOf(t, "file"))
	onlyThese(t, found, "b", "c", "d")
}

func TestASectorIsMixedOnlyIfTheOptionSaysSo(t *testing.T) {
	t.Parallel()
	prepare := func(d *simdisk.Disk) {
		f := sizedFile(t, d, "file", repeat('a', sector))
		write(t, f, 0, repeat('b', sector))
	}
	onlyThese(t, outcomes(t, simdisk.Options{}, prepare, stateOf(t, "file")), "a", "b")
	onlyThese(t, outcomes(t, simdisk.Options{TornSectors: true}, prepare, stateOf(t, "file")), "a", "b", "?")
}

func TestPartsOfASectorLandTogether(t *testing.T) {
	t.Parallel()
	found := outcomes(t, simdisk.Options{}, func(d *simdisk.Disk) {
		f := sizedFile(t, d, "file", []byte("......"))
		write(t, f, 1, []byte("b"))
		write(t, f, 3, []byte("c"))
		write(t, f, 1, []byte("d"))
	}, func(after *simdisk.Disk) string {
		data, _ := contents(t, after, "file")
		return string(data)
	})
	onlyThese(t, found, "......", ".b....", ".b.c..", ".d.c..")
}

// besideSync writes b and then, side by side, syncs and writes c in the next
// block. It reports whether the second write completed before the sync.
func besideSync(t *testing.T, d *simdisk.Disk) bool {
	memory := aligned(2 * block)
	copy(memory, repeat('b', block))
	copy(memory[block:], repeat('c', block))
	f := sizedFile(t, d, "file", repeat('a', 2*block))
	q, err := d.OpenQueue(2, memory)
	must(t, err)
	q.Write(f, memory[:block], 0, 1)
	drain(t, q, 1)
	q.SyncData(f, 2)
	q.Write(f, memory[block:], block, 3)
	order := drain(t, q, 2)
	must(t, q.Close())
	return order[0] == 3
}

func TestASyncCoversOnlyWritesCompletedBeforeItWasSubmitted(t *testing.T) {
	t.Parallel()
	found := map[string]int{}
	for seed := range uint64(seeds) {
		d := simdisk.New(seed, simdisk.Options{})
		if !besideSync(t, d) {
			continue // even a sync that covered too much would miss the write
		}
		state := letters(t, d.Crash(), "file")
		if state[:8] != "bbbbbbbb" {
			t.Fatalf("seed %d: a covered write was lost: %s", seed, state)
		}
		switch strings.Count(state[8:], "c") {
		case 0:
			found["lost"]++
		case 8:
			found["kept"]++
		default:
			found["torn"]++
		}
	}
	onlyThese(t, found, "lost", "kept", "torn")
}

func TestQueuedOperationsCompleteInAnyOrder(t *testing.T) {
	t.Parallel()
	orders := map[string]int{}
	for seed := range uint64(seeds) {
		d := simdisk.New(seed, simdisk.Options{})
		memory := aligned(2 * block)
		f := open(t, d, "file", disk.DirectCreate)
		q, err := d.OpenQueue(3, memory)
		must(t, err)
		q.Write(f, memory[:block], 0, 'a')
		q.Write(f, memory[block:], block, 'b')
		q.SyncData(f, 's')
		order := ""
		for _, tag := range drain(t, q, 3) {
			order += string(rune(tag))
		}
		orders[order]++
	}
	onlyThese(t, orders, "abs", "asb", "bas", "bsa", "sab", "sba")
}

func TestADurableWriteIsKeptAndOthersAreNot(t *testing.T) {
	t.Parallel()
	found := outcomes(t, simdisk.Options{TornSectors: true}, func(d *simdisk.Disk) {
		memory := aligned(block)
		f := sizedFile(t, d, "file", repeat('a', block+sector))
		write(t, f, 0, repeat('b', block+sector))
		q, err := d.OpenQueue(1, memory)
		must(t, err)
		copy(memory, repeat('c', block))
		q.WriteDurable(f, memory, 0, 1)
		drain(t, q, 1)
		write(t, f, 0, repeat('d', sector))
	}, func(after *simdisk.Disk) string {
		state := letters(t, after, "file")
		if state[1:8] != "ccccccc" {
			return "lost: " + state
		}
		return state[:1] + state[8:]
	})
	onlyThese(t, found, "ca", "cb", "da", "db", "?a", "?b", "c?", "d?", "??")
}

func TestADurableWritePastTheEndKeepsItsSize(t *testing.T) {
	t.Parallel()
	found := outcomes(t, simdisk.Options{}, func(d *simdisk.Disk) {
		memory := aligned(block)
		copy(memory, repeat('c', block))
		f := created(t, d, "file")
		q, err := d.OpenQueue(1, memory)
		must(t, err)
		q.WriteDurable(f, memory[:sector], sector, 1)
		drain(t, q, 1)
	}, stateOf(t, "file"))
	onlyThese(t, found, "0c")
}

func TestWritesInFlightMayLand(t *testing.T) {
	t.Parallel()
	for name, future := range map[string]func(*simdisk.Disk) *simdisk.Disk{
		"power cut": (*simdisk.Disk).Crash, "process killed": (*simdisk.Disk).Kill,
	} {
		found := map[string]int{}
		for seed := range uint64(seeds) {
			d := simdisk.New(seed, simdisk.Options{})
			f := sizedFile(t, d, "file", repeat('a', block))
			memory := aligned(block)
			copy(memory, repeat('b', block))
			q, err := d.OpenQueue(1, memory)
			must(t, err)
			q.Write(f, memory, 0, 1)
			q.Wake()
			n, err := q.Wait(make([]disk.Completion, 1))
			must(t, err)
			if n == 1 {
				continue // completed before the cut
			}
			switch state := letters(t, future(d), "file"); state {
			case "aaaaaaaa", "bbbbbbbb":
				found[state]++
			default:
				found["torn"]++
			}
		}
		t.Log(name)
		onlyThese(t, found, "aaaaaaaa", "bbbbbbbb", "torn")
	}
}

func TestStaleBytesShowOnlyInSpaceThatALostWriteAllocated(t *testing.T) {
	t.Parallel()
	prepare := func(d *simdisk.Disk) {
		write(t, created(t, d, "old"), 0, repeat('x', block))
		must(t, d.Remove("old"))
		f := created(t, d, "file")
		must(t, f.Allocate(block))
		must(t, f.Sync())
		write(t, f, 0, repeat('a', sector))
		write(t, f, block, repeat('b', sector))
	}
	look := func(after *simdisk.Disk) string {
		state := letters(t, after, "file")
		return state[:1] + state[8:]
	}
	onlyThese(t, outcomes(t, simdisk.Options{}, prepare, look), "0", "0b", "00", "a", "ab", "a0")
	onlyThese(t, outcomes(t, simdisk.Options{StaleBytes: true}, prepare, look), "0", "0b", "00", "a", "ab", "a0", "0x", "ax")
}

func TestARecycledFileShowsItsOldBytesWhereNewOnesWereLost(t *testing.T) {
	t.Parallel()
	found := outcomes(t, simdisk.Options{}, func(d *simdisk.Disk) {
		must(t, sizedFile(t, d, "old", repeat('x', 2*sector)).Close())
		must(t, d.Rename("old", "new"))
		must(t, d.SyncDir("."))
		write(t, open(t, d, "new", disk.ReadWrite), 0, repeat('a', 2*sector))
	}, stateOf(t, "new"))
	onlyThese(t, found, "xx", "xa", "ax", "aa")
}
