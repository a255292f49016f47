package node

import "testing"

func TestReservedSpaceIsNotTakenForUsed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ blocks, free, available, total, left uint64 }{
		{100, 40, 40, 100, 40}, // nothing is reserved
		{100, 40, 35, 95, 35},  // five percent are, as usual on ext4
		{250, 200, 40, 90, 40}, // most of it is: 50 of 90 are used
		{100, 0, 0, 100, 0},
		{10, 20, 5, 5, 5}, // a file system that doesn't know
	} {
		if total, left := usable(c.blocks, c.free, c.available); total != c.total || left != c.left {
			t.Errorf("%+v: %d of %d are free", c, left, total)
		}
	}
	total, free, err := diskSpace(t.TempDir())
	if err != nil || total == 0 || free > total {
		t.Errorf("%d of %d are free, %v", free, total, err)
	}
}
