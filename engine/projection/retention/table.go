package retention

import (
	"fmt"
	"io"
	"sync/atomic"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
)

const checkpointFormat = 1

// Mark is where the log begins by the latest decision. The zero value: nothing
// was dropped.
type Mark struct {
	event.Trim
	Decided   event.Index // frame that holds the decision
	DecidedAt int64       // its time, Unix milliseconds
}

// Table is the projection of retention.
type Table struct {
	mark atomic.Pointer[Mark]
}

var _ projection.Projection = (*Table)(nil)

// New returns a table of a log of which nothing was dropped.
func New() *Table {
	t := &Table{}
	t.mark.Store(&Mark{})
	return t
}

// Name is "retention".
func (t *Table) Name() string { return "retention" }

// Mark is the latest decision.
func (t *Table) Mark() Mark { return *t.mark.Load() }

// Apply takes in the decisions of retention and passes over all other events.
// It panics on payloads that can't be decoded.
func (t *Table) Apply(at projection.Place, e event.Event) {
	if e.Kind() != event.KindTrim {
		return
	}
	trim, err := event.DecodeTrim(e.Payload())
	if err != nil {
		panic(fmt.Sprintf("BUG: trim event at position %d: %v", at.Position, err))
	}
	before := t.mark.Load()
	if trim.Through <= before.Through || trim.Position <= before.Position || trim.Through >= at.Index || trim.Position > at.Position {
		return
	}
	t.mark.Store(&Mark{Trim: trim, Decided: at.Index, DecidedAt: at.Timestamp})
}

// Checkpoint writes the mark.
func (t *Table) Checkpoint(w io.Writer) error {
	e, m := projection.NewEncoder(w), t.mark.Load()
	e.Uint32(checkpointFormat)
	e.Uint64(uint64(m.Through))
	e.Uint64(uint64(m.Position))
	e.Uint64(uint64(m.Decided))
	e.Uint64(uint64(m.DecidedAt))
	e.Uint32(uint32(m.Cause))
	return e.Flush()
}

// Restore replaces the mark.
func (t *Table) Restore(r io.Reader) error {
	d := projection.NewDecoder(t.Name(), r)
	d.Format(checkpointFormat)
	m := Mark{Trim: event.Trim{Through: event.Index(d.Uint64()), Position: event.Position(d.Uint64())}}
	m.Decided, m.DecidedAt = event.Index(d.Uint64()), int64(d.Uint64())
	cause := d.Uint32()
	m.Cause = event.TrimCause(cause)
	switch {
	case d.Err() != nil || m == Mark{} && cause == 0:
	case cause != uint32(m.Cause) || m.Validate() != nil:
		d.Fail("through frame %d at position %d with cause %d makes no sense", m.Through, m.Position, cause)
	case m.Through >= m.Decided:
		d.Fail("frame %d decides to drop frame %d", m.Decided, m.Through)
	}
	if err := d.Close(); err != nil {
		return err
	}
	t.mark.Store(&m)
	return nil
}
