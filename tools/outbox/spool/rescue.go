package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
)

const (
	damagedPrefix = "damaged-"
	rescueFolder  = "rescue" // holds a new log that isn't whole yet
)

// rescue puts what is whole of a log that can't be opened, and waits, into a
// new one, and opens that. The damaged log stays where it is until the new one
// is whole and synced: so a death in between costs nothing but to begin again.
func rescue(o Options, cause error) (*Spool, error) {
	o.Log.Error("spool: the log is damaged: what is whole in it goes on", "folder", o.Dir, "cause", cause)
	kept, findings, err := salvage(o)
	if err != nil {
		return nil, fmt.Errorf("spool %s: take over what is whole of the damaged log: %w; nothing was changed there", o.Dir, err)
	}
	aside := filepath.Join(o.Dir, damagedPrefix+time.Now().UTC().Format("20060102T150405.000"))
	if err := moveSynced(o.Dir, filepath.Join(o.Dir, logFolder), aside); err != nil {
		return nil, fmt.Errorf("move the damaged log of spool %s aside: %w", o.Dir, err)
	}
	if err := finishRescue(o); err != nil {
		return nil, err
	}
	s, err := open(o)
	if err != nil {
		return nil, err
	}
	s.damaged.Add(uint64(findings))
	o.Log.Warn("spool: taken over from the damaged log; what was lost is in the folder moved aside", "entries", kept, "damagedPlaces", findings, "folder", aside)
	return s, nil
}

// salvage makes the new log beside the damaged one.
func salvage(o Options) (kept, findings int, err error) {
	damaged := filepath.Join(o.Dir, logFolder)
	o.Dir, o.Arrived = filepath.Join(o.Dir, rescueFolder), nil
	if err := os.RemoveAll(o.Dir); err != nil {
		return 0, 0, err
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return 0, 0, err
	}
	s, err := open(o)
	if err != nil {
		return 0, 0, err
	}
	kept, findings, err = s.takeOver(damaged)
	return kept, findings, errors.Join(err, s.Close())
}

// finishRescue puts the new log into its place where the damaged one has left
// it, and removes what is left of a rescue that came to no end.
func finishRescue(o Options) error {
	from, to := filepath.Join(o.Dir, rescueFolder), filepath.Join(o.Dir, logFolder)
	if !exists(from) {
		return nil
	}
	if whole := filepath.Join(from, logFolder); !exists(to) && exists(whole) {
		if err := os.RemoveAll(filepath.Join(o.Dir, waitingFolder)); err != nil {
			return fmt.Errorf("remove what belongs to the damaged log of spool %s: %w", o.Dir, err)
		}
		if err := moveSynced(o.Dir, whole, to); err != nil {
			return fmt.Errorf("put the new log of spool %s into its place: %w", o.Dir, err)
		}
	}
	if err := os.RemoveAll(from); err != nil {
		return fmt.Errorf("remove what a rescue of spool %s has left: %w", o.Dir, err)
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, os.ErrNotExist)
}

// moveSynced renames below dir, for good.
func moveSynced(dir, from, to string) error {
	if err := os.Rename(from, to); err != nil {
		return err
	}
	d, err := disk.OpenPosix(dir)
	if err != nil {
		return err
	}
	return d.SyncDir(".")
}

// takeOver puts the whole entries of a log that wait into this spool.
func (s *Spool) takeOver(folder string) (kept, findings int, err error) {
	d, err := disk.OpenPosix(folder)
	if err != nil {
		return 0, 0, err
	}
	done := map[event.Queue]event.Offset{}
	report, err := commitlog.Inspect(commitlog.Inspection{Folder: d, Event: func(_ commitlog.Frame, e commitlog.Event) error {
		if e.Bytes.Kind() != event.KindOffsets {
			return nil
		}
		commits, err := event.DecodeOffsetCommits(e.Bytes.Payload())
		if err != nil {
			return nil // one mark less is known
		}
		for _, c := range commits {
			done[c.Queue] = c.Offset
		}
		return nil
	}})
	if err != nil {
		return 0, 0, err
	}
	_, err = commitlog.Inspect(commitlog.Inspection{Folder: d, Event: func(_ commitlog.Frame, e commitlog.Event) error {
		if e.Bytes.Kind() != event.KindMessage {
			return nil
		}
		item, err := decode(e.Bytes.Payload())
		if err != nil || item.Offset < done[e.Bytes.Queue()] {
			return nil
		}
		kept++
		return s.takeItem(e.Bytes, item)
	}})
	if err == nil {
		err = s.Await(context.Background())
	}
	return kept, report.Corrupt + report.Newer, err
}

// takeItem puts one entry of a damaged log. Streams of the spool's own are
// taken over under new numbers; so what had left the quarantine is there again.
func (s *Spool) takeItem(e event.Event, item Item) error {
	if item.Name == resolvedName {
		return nil
	}
	if item.Name == quarantineName {
		return s.confine(append([]byte(nil), item.Payload...))
	}
	st, err := s.stream(item.Name, e.Queue().ID)
	if err != nil {
		return err
	}
	keys := make([]uint64, e.KeyCount())
	for i := range keys {
		keys[i] = e.Key(i)
	}
	// The payload is copied before Put returns. Nobody waits for an answer any more.
	return s.Put(&Entry{Stream: st, Payload: event.Bytes(item.Payload), Keys: keys, Doubt: true, Stored: func(e *Entry) { e.Stream.Answered(e.Offset) }})
}
