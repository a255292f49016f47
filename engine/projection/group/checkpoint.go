package group

import (
	"io"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
)

const checkpointFormat = 1

// Checkpoint writes all groups.
func (t *Table) Checkpoint(w io.Writer) error {
	e := projection.NewEncoder(w)
	groups := t.All()
	e.Uint32(checkpointFormat)
	e.Uint64(t.Version())
	e.Uint32(uint32(len(groups)))
	var config []byte
	for _, g := range groups {
		config = event.AppendGroupConfig(config[:0], g.Config)
		e.Uint64(uint64(g.ChangedAt))
		e.Uint32(uint32(len(config)))
		e.Bytes(config)
	}
	return e.Flush()
}

// Restore replaces all groups. Readers see the old ones until it is done.
func (t *Table) Restore(r io.Reader) error {
	d := projection.NewDecoder(t.Name(), r)
	s := &state{}
	d.Format(checkpointFormat)
	version := d.Uint64()
	before := ""
	for n, i := d.Uint32(), uint32(0); i < n && d.Err() == nil; i++ {
		g := decodeGroup(d)
		if d.Err() == nil && g.Config.Name <= before {
			d.Fail("group %q comes after %q", g.Config.Name, before)
		}
		s.set(g)
		before = g.Config.Name
	}
	if err := d.Close(); err != nil {
		return err
	}
	s.version = version
	t.state.Store(s)
	return nil
}

func decodeGroup(d *projection.Decoder) *Group {
	g := &Group{ChangedAt: int64(d.Uint64())}
	payload := d.Text(event.GroupConfigBytesMax)
	if d.Err() != nil {
		return g
	}
	config, err := event.DecodeGroupConfig([]byte(payload))
	if err != nil {
		d.Fail("%v", err)
	}
	g.Config = config
	return g
}
