package commitlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
)

// LossCause says why frames may be missing. Values are part of the format, and
// those of event.LossCause.
type LossCause = event.LossCause

// Loss says that the log may lack frames that this copy has acknowledged. It
// stays noted until EndLoss, over any number of starts.
type Loss struct {
	Cause    LossCause
	Kept     event.Index    // last frame that was there when the log was opened
	Position event.Position // after it
	Had      event.Index    // last frame of which it is known that it was there, 0 where that isn't known
}

// Loss returns what was noted, and whether anything was.
func (l *Log) Loss() (Loss, bool) {
	loss := l.loss.Load()
	if loss == nil {
		return Loss{}, false
	}
	return *loss, true
}

// EndLoss forgets the loss, durably: what was missing is there again, or all
// know that it is gone.
func (l *Log) EndLoss() error {
	if l.loss.Load() == nil {
		return nil
	}
	if err := l.removeDurably(lostName); err != nil {
		return fmt.Errorf("end a loss: %w", err)
	}
	l.loss.Store(nil)
	return nil
}

// noteLoss is durable before anything is cut. What was lost before and isn't
// forgotten is part of it.
func (l *Log) noteLoss(loss Loss) error {
	if before := l.loss.Load(); before != nil {
		loss.Had = max(loss.Had, before.Had)
		if before.Kept < loss.Kept {
			loss.Kept, loss.Position = before.Kept, before.Position
		}
	}
	if err := writeLoss(l.disk, l.seed, loss); err != nil {
		return err
	}
	l.loss.Store(&loss)
	return nil
}

func (l *Log) removeDurably(name string) error {
	if err := l.disk.Remove(name); err != nil {
		if errors.Is(err, disk.ErrNotFound) {
			return nil
		}
		return err
	}
	return l.disk.SyncDir(".")
}

// powerLost reports whether the log was open, and wasn't synced by itself, when
// the machine went down. A process that is killed loses nothing that was
// written; so the machine's boot is compared, and an unknown one counts as
// another.
func (l *Log) powerLost() (bool, error) {
	boot, running, err := readRunning(l.disk, l.seed)
	return running && (boot == [16]byte{} || boot != l.opts.Boot), err
}

// begin notes that the log is open. What it writes survives the process, and
// not the machine, unless every write is synced.
func (l *Log) begin() error {
	if l.opts.Policy == FlushAtOnce {
		return l.removeDurably(runningName)
	}
	return writeRunning(l.disk, l.seed, l.opts.Boot)
}

const (
	runningPayloadBytes = 16
	lostPayloadBytes    = 28
)

func writeRunning(d disk.Disk, seed event.Seed, boot [16]byte) error {
	b := make([]byte, blockHeaderBytes+runningPayloadBytes)
	putBlock(b, blockRunning, seed, boot[:])
	return disk.WriteWhole(d, runningName, b)
}

func readRunning(d disk.Disk, seed event.Seed) (boot [16]byte, found bool, err error) {
	b, err := disk.ReadWhole(d, runningName, recordBytesMax)
	if errors.Is(err, disk.ErrNotFound) {
		return boot, false, nil
	}
	if err != nil {
		return boot, false, err
	}
	p, err := openBlock(b, blockRunning, seed, runningPayloadBytes)
	if errors.Is(err, ErrNewerFormat) {
		return boot, false, fmt.Errorf("read %s/%s: %w", d.Path(), runningName, err)
	}
	copy(boot[:], p) // of a damaged one nothing is known but that it is there
	return boot, true, nil
}

func writeLoss(d disk.Disk, seed event.Seed, loss Loss) error {
	le := binary.LittleEndian
	var p [lostPayloadBytes]byte
	le.PutUint64(p[0:], uint64(loss.Kept))
	le.PutUint64(p[8:], uint64(loss.Position))
	le.PutUint64(p[16:], uint64(loss.Had))
	le.PutUint32(p[24:], uint32(loss.Cause))
	b := make([]byte, blockHeaderBytes+lostPayloadBytes)
	putBlock(b, blockLost, seed, p[:])
	return disk.WriteWhole(d, lostName, b)
}

// readLoss reads what is noted of a loss. A damaged note says that there is one.
func readLoss(d disk.Disk, seed event.Seed) (*Loss, error) {
	b, err := disk.ReadWhole(d, lostName, recordBytesMax)
	if errors.Is(err, disk.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p, err := openBlock(b, blockLost, seed, lostPayloadBytes)
	switch {
	case errors.Is(err, ErrNewerFormat):
		return nil, fmt.Errorf("read %s/%s: %w", d.Path(), lostName, err)
	case err != nil:
		return &Loss{Cause: event.LostByDamage}, nil
	}
	le := binary.LittleEndian
	cause := le.Uint32(p[24:])
	if cause > math.MaxUint8 {
		return &Loss{Cause: event.LostByDamage}, nil
	}
	return &Loss{
		Kept: event.Index(le.Uint64(p[0:])), Position: event.Position(le.Uint64(p[8:])),
		Had: event.Index(le.Uint64(p[16:])), Cause: LossCause(cause),
	}, nil
}

// ForgiveLoss has a node whose log may lack what it has confirmed decide as if it
// lacked nothing. It is for an operator who knows that what the others have is
// gone for good. The log isn't open meanwhile. ErrNotFound: no loss is noted.
func ForgiveLoss(d disk.Disk) error {
	lock, err := d.Lock(lockName)
	if err != nil {
		return fmt.Errorf("forgive a loss: the log is open; stop the node first: %w", err)
	}
	return errors.Join(forgiveLoss(d), lock.Close())
}

func forgiveLoss(d disk.Disk) error {
	meta, err := ReadMeta(d)
	if err != nil {
		return err
	}
	loss, err := readLoss(d, meta.Log.Seed())
	if err != nil {
		return err
	}
	if loss == nil {
		return fmt.Errorf("forgive a loss: %w: log %s notes none", ErrNotFound, d.Path())
	}
	loss.Cause = event.LostByForce
	return writeLoss(d, meta.Log.Seed(), *loss)
}

// noteLossAtStart notes what the end of the log says of a loss, before anything
// is cut. newest is the last frame of which something was found, lost that
// durable ones are gone.
func (l *Log) noteLossAtStart(end chain, newest event.Index, lost bool) error {
	loss := Loss{Cause: event.LostByDamage, Kept: end.index, Position: end.position, Had: max(newest, end.index)}
	if !lost {
		power, err := l.powerLost()
		if err != nil || !power {
			return err
		}
		loss.Cause = event.LostByPower
	}
	return l.noteLoss(loss)
}
