package offset

import (
	"io"
	"math"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
)

const checkpointFormat = 1

// Checkpoint writes all commits.
func (t *Table) Checkpoint(w io.Writer) error {
	e := projection.NewEncoder(w)
	names := t.Groups()
	e.Uint32(checkpointFormat)
	e.Uint64(t.Version())
	e.Uint32(uint32(len(names)))
	for _, name := range names {
		commits := t.Group(name)
		e.Text(name)
		e.Uint32(uint32(len(commits)))
		for _, c := range commits {
			e.Uint32(uint32(c.Queue.Topic))
			e.Uint32(c.Queue.ID)
			e.Uint64(uint64(c.Offset))
			e.Uint64(uint64(c.Timestamp))
			e.Text(c.Client)
		}
	}
	return e.Flush()
}

// Restore replaces all commits. Readers see the old ones until it is done.
func (t *Table) Restore(r io.Reader) error {
	d := projection.NewDecoder(t.Name(), r)
	restored := New()
	d.Format(checkpointFormat)
	restored.version = d.Uint64()
	before := ""
	for n, i := d.Uint32(), uint32(0); i < n && d.Err() == nil; i++ {
		name := d.Text(event.NameBytesMax)
		if name <= before {
			d.Fail("group %q comes after %q", name, before)
		}
		restored.decodeGroup(d, name)
		before = name
	}
	if err := d.Close(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.groups, t.version = restored.groups, restored.version
	return nil
}

func (t *Table) decodeGroup(d *projection.Decoder, name string) {
	n := d.Uint32()
	if n == 0 {
		d.Fail("group %q has no commits", name)
	}
	var before event.Queue
	for i := uint32(0); i < n && d.Err() == nil; i++ {
		q := event.Queue{Topic: event.TopicID(d.Uint32()), ID: d.Uint32()}
		if i > 0 && compareQueues(before, q) >= 0 {
			d.Fail("queue %d/%d comes after %d/%d", q.Topic, q.ID, before.Topic, before.ID)
		}
		offset, timestamp := d.Uint64(), int64(d.Uint64())
		if offset > math.MaxInt64 {
			d.Fail("offset %d is too large", offset)
		}
		t.set(name, q, Commit{Offset: event.Offset(offset), Timestamp: timestamp, Client: d.Text(event.NameBytesMax)})
		before = q
	}
}
