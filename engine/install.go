package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
	"github.com/apogeemq/apogee/engine/projection/queue"
)

// Install replaces everything by the base checkpoint of another copy of the
// log: for a replica that lacks frames which are trimmed elsewhere. Afterwards
// the log is empty and goes on behind the checkpoint. A checkpoint of what is
// applied here already changes nothing. reset is Log().Reset, or what whoever
// appends has around it; nobody appends or commits meanwhile.
//
// The checkpoint is durable before the log changes. When a crash or an error
// comes between, the next Open goes on with it.
func (e *Engine) Install(r io.Reader, reset func(commitlog.Base) error) error {
	if e.opts.CommitAt != CommitExternal {
		return errors.New("install a checkpoint: this log is not replicated, it has nobody to get the rest from")
	}
	e.trimming.Lock()
	defer e.trimming.Unlock()
	e.reads.RLock()
	defer e.reads.RUnlock()
	if e.closed {
		return fmt.Errorf("install a checkpoint: %w", ErrClosed)
	}
	b, err := io.ReadAll(io.LimitReader(r, baseBytesMax+1))
	if err != nil {
		return fmt.Errorf("install a checkpoint: read it: %w", err)
	}
	if len(b) > baseBytesMax {
		return fmt.Errorf("install a checkpoint: it has more than %d bytes", baseBytesMax)
	}
	at, err := restoreCheckpoint(bytes.NewReader(b), e.log.Meta().Log, scratchProjections())
	if err != nil {
		return fmt.Errorf("install a checkpoint: %w", err)
	}
	if at.index <= event.Index(e.applied.Load()) {
		return nil
	}
	if err := disk.WriteWhole(e.opts.Log.Disk, baseName, b); err != nil {
		return fmt.Errorf("install the checkpoint at frame %d: %w", at.index, err)
	}
	var failed error
	if !e.indexer.do(func() { failed = e.beginAt(at, b, reset) }) {
		failed = ErrClosed
	}
	if failed != nil {
		return fmt.Errorf("install the checkpoint at frame %d: %w", at.index, failed)
	}
	return nil
}

func scratchProjections() []projection.Projection {
	return append([]projection.Projection{queue.New(queue.DefaultRunBytes)}, newState().projections()...)
}

// beginAt runs on the indexer's goroutine: no file is being written meanwhile.
func (e *Engine) beginAt(at place, checkpoint []byte, reset func(commitlog.Base) error) error {
	x := e.indexer
	x.setDropping(true)
	var failed error
	err := e.onApply(func() { failed = e.replaceAll(at, checkpoint, reset) })
	x.setDropping(false)
	if err = errors.Join(err, failed); err != nil {
		return err
	}
	e.baseAt = at.index
	e.floorsAt.Store(uint64(at.index))
	x.mu.Lock()
	x.handed, x.damaged = nil, nil
	x.mu.Unlock()
	gone := x.files
	x.files, x.base, x.twinAt = nil, counters(e.queues), at.index
	return errors.Join(e.state.copyInto(x.twin), x.discard(gone), removeStates(x.disk))
}

// setDropping says that the indexer waits for the applier, which so must not
// wait for the indexer.
func (x *indexer) setDropping(is bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.dropping = is
	x.changed.Broadcast()
}

// replaceAll runs on the apply goroutine.
func (e *Engine) replaceAll(at place, checkpoint []byte, reset func(commitlog.Base) error) error {
	if err := reset(at.logBase()); err != nil {
		return err
	}
	if _, err := restoreCheckpoint(bytes.NewReader(checkpoint), e.log.Meta().Log, e.Projections()); err != nil {
		return err
	}
	// What waits there was moved into the frames that follow.
	if err := e.waits.Clear(at.waiting()); err != nil {
		return err
	}
	e.forgetWritten()
	e.pending, e.pendingN = nil, 0
	e.last, e.queuesAt, e.stateAt, e.waitsAt = at, at.index, at.index, at.index
	e.cursor = e.log.CursorFrom(at.index + 1)
	e.committed.Store(max(e.committed.Load(), uint64(at.index)))
	e.applied.Store(uint64(at.index))
	e.position.Store(uint64(at.position))
	e.touched = append(e.touched, e.Queues()...)
	e.notify()
	return nil
}

// finishInstall makes the log begin behind a base checkpoint that it doesn't
// fit, which is what an installation leaves that was cut short.
func (e *Engine) finishInstall(at place) error {
	e.opts.Log.Log.Warn("an installation of the base checkpoint was cut short; the log begins anew behind it", "frame", at.index)
	return e.log.Reset(at.logBase())
}

// holds reports whether the log has the frame after which a state was taken.
func (e *Engine) holds(at place) (bool, error) {
	same := false
	err := e.log.NewReader().Frame(at.index, func(f commitlog.Frame) error {
		same = f.CRC == at.chain
		return nil
	})
	if errors.Is(err, ErrNotFound) {
		err = nil
	}
	return same, err
}
