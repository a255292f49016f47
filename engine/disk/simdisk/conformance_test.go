package simdisk_test

import (
	"testing"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/disk/disktest"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
)

func TestSimulatedDiskConforms(t *testing.T) {
	t.Parallel()
	for _, options := range []simdisk.Options{{}, {BlockBytes: 512, StaleBytes: true, TornSectors: true}} {
		for seed := range uint64(3) {
			disktest.Run(t, func(*testing.T) disk.Disk { return simdisk.New(seed, options) })
		}
	}
}

func TestSimulatedDiskConformsAfterCrashAndKill(t *testing.T) {
	t.Parallel()
	disktest.Run(t, func(*testing.T) disk.Disk { return simdisk.New(1, simdisk.Options{}).Crash().Kill().Clone() })
}
