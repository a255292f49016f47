package engine

import (
	"bufio"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
	"github.com/apogeemq/apogee/engine/projection/pending"
	"github.com/apogeemq/apogee/engine/projection/queue"
)

// Dump writes everything that the engine knows in one canonical form: where
// it has applied to, the checkpoint of every projection, every message of every
// queue with its place, and which events their keys lead to. Equal logs give equal bytes, whichever way the
// projections came about. Nobody proposes meanwhile.
func (e *Engine) Dump(w io.Writer) error {
	if err := e.carryOutTrim(); err != nil {
		return fmt.Errorf("dump: %w", err)
	}
	out := bufio.NewWriter(w)
	var queues []event.Queue
	err := e.onApply(func() {
		fmt.Fprintf(out, "frame %d position %d\n", e.applied.Load(), e.position.Load())
		for _, p := range e.Projections() {
			fmt.Fprintf(out, "projection %s ", p.Name())
			// The buffer keeps the first error; Flush returns it.
			_ = p.Checkpoint(hexWriter{out})
			fmt.Fprintln(out)
		}
		queues = e.Queues()
	})
	if err != nil {
		return fmt.Errorf("dump: %w", err)
	}
	err = e.waits.All(func(w pending.Entry) bool {
		fmt.Fprintf(out, "waits %v\n", w)
		return true
	})
	if err != nil {
		return fmt.Errorf("dump: %w", err)
	}
	for _, q := range queues {
		if err := e.dumpQueue(out, q); err != nil {
			return fmt.Errorf("dump queue %d/%d: %w", q.Topic, q.ID, err)
		}
	}
	if err := e.dumpKeys(out); err != nil {
		return fmt.Errorf("dump keys: %w", err)
	}
	return out.Flush()
}

// dumpKeys looks for every event of the log by each of its keys.
func (e *Engine) dumpKeys(out io.Writer) error {
	sum, found := crc32.NewIEEE(), 0
	var failed error
	look := func(at projection.Place, ev event.Event) {
		for i := 0; i < ev.KeyCount() && failed == nil; i++ {
			before := found
			failed = e.queues.Keys(ev.Key(i), at.Position, at.Position+1, func(c queue.Candidate) (bool, error) {
				fmt.Fprintf(sum, "%x at %d\n", ev.Key(i), c.Position)
				found++
				return true, nil
			})
			if found != before+1 {
				fmt.Fprintf(out, "key %x leads to %d events at position %d\n", ev.Key(i), found-before, at.Position)
			}
		}
	}
	first, _ := e.log.First()
	err := e.log.CursorFrom(max(first, e.Marks().Trimmed+1)).Visit(event.Index(e.applied.Load()), func(f commitlog.Frame) error {
		if err := eachEvent(&f, look); err != nil {
			return err
		}
		return failed
	})
	fmt.Fprintf(out, "keys %d crc %08x\n", found, sum.Sum32())
	return err
}

func (e *Engine) dumpQueue(out io.Writer, q event.Queue) error {
	at, next := e.Bounds(q)
	fmt.Fprintf(out, "queue %d/%d from %d to %d\n", q.Topic, q.ID, at, next)
	const step = 1000
	for at < next {
		after, err := e.ReadQueue(q, at, ReadLimits{Count: step, Bytes: 1 << 30, Scan: step}, nil, func(m Message) error {
			_, err := fmt.Fprintf(out, "%d at %d time %d kind %d tag %d bytes %d crc %08x\n", m.Offset, m.Position, m.Timestamp,
				m.Event.Kind(), m.Event.Tag(), len(m.Event), crc32.ChecksumIEEE(m.Event))
			return err
		})
		if err != nil {
			return err
		}
		if after == at {
			return fmt.Errorf("%w: offset %d is missing", ErrCorrupt, at)
		}
		at = after
	}
	return nil
}

// hexWriter writes bytes as hexadecimal digits.
type hexWriter struct{ w io.Writer }

func (h hexWriter) Write(b []byte) (int, error) {
	if _, err := fmt.Fprintf(h.w, "%x", b); err != nil {
		return 0, err
	}
	return len(b), nil
}
