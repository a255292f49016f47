package replication

import (
	"sync"
	"time"

	"github.com/apogeemq/apogee/engine/event"
)

// unstored are entries that Raft counts as stored here and that the disk has not
// yet: what StoreLogs has appended ahead of it, oldest first.
type unstored struct {
	mu  sync.Mutex
	all []unstoredEntry
}

type unstoredEntry struct {
	index event.Index
	since time.Time // when StoreLogs began
}

func (u *unstored) add(index event.Index, since time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.all = append(u.all, unstoredEntry{index, since})
}

// age is for how long the oldest has been waiting, 0 for none, where the disk has
// entries up to stored.
func (u *unstored) age(stored event.Index) time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	n := 0
	for n < len(u.all) && u.all[n].index <= stored {
		n++
	}
	u.all = append(u.all[:0], u.all[n:]...)
	if len(u.all) == 0 {
		return 0
	}
	return time.Since(u.all[0].since)
}

// clear forgets all: the log is shorter now, and all of it is on the disk.
func (u *unstored) clear() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.all = u.all[:0]
}
