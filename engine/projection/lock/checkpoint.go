package lock

import (
	"io"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
)

const checkpointFormat = 1

// Checkpoint writes all locks.
func (t *Table) Checkpoint(w io.Writer) error {
	e := projection.NewEncoder(w)
	all := t.All()
	e.Uint32(checkpointFormat)
	e.Uint32(uint32(len(all)))
	for _, l := range all {
		e.Text(l.Group)
		e.Uint32(uint32(l.Queue.Topic))
		e.Uint32(l.Queue.ID)
		e.Uint64(uint64(l.Since))
		e.Text(l.Client)
	}
	return e.Flush()
}

// Restore replaces all locks. Readers see the old ones until it is done.
func (t *Table) Restore(r io.Reader) error {
	d := projection.NewDecoder(t.Name(), r)
	owners := make(map[Key]owner)
	d.Format(checkpointFormat)
	var before Key
	for n, i := d.Uint32(), uint32(0); i < n && d.Err() == nil; i++ {
		k := Key{Group: d.Text(event.NameBytesMax), Queue: event.Queue{Topic: event.TopicID(d.Uint32()), ID: d.Uint32()}}
		o := owner{since: int64(d.Uint64()), client: d.Text(event.NameBytesMax)}
		switch {
		case d.Err() != nil:
		case k.Group == "" || o.client == "":
			d.Fail("lock %d has no group or no client", i)
		case i > 0 && k.compare(before) <= 0:
			d.Fail("lock %d of group %q comes after one of group %q", i, k.Group, before.Group)
		default:
			owners[k] = o
		}
		before = k
	}
	if err := d.Close(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.owners = owners
	return nil
}
