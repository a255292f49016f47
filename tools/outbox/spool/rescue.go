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

const damagedPrefix = "damaged-"

// rescue moves a log that can't be opened aside and puts what is whole and
// waits into a new one.
func rescue(o Options, cause error) (*Spool, error) {
	aside := filepath.Join(o.Dir, damagedPrefix+time.Now().UTC().Format("20060102T150405.000"))
	o.Log.Error("spool: the log is damaged: it is moved aside, and what is whole in it goes on", "folder", aside, "cause", cause)
	if err := os.Rename(filepath.Join(o.Dir, logFolder), aside); err != nil {
		return nil, fmt.Errorf("move the damaged log of spool %s aside: %w", o.Dir, err)
	}
	if err := os.RemoveAll(filepath.Join(o.Dir, waitingFolder)); err != nil {
		return nil, fmt.Errorf("remove what belongs to the damaged log of spool %s: %w", o.Dir, err)
	}
	s, err := open(o)
	if err != nil {
		return nil, err
	}
	kept, findings, err := s.takeOver(aside)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read the damaged log %s: %w", aside, err), s.Close())
	}
	s.damaged.Add(uint64(findings))
	o.Log.Warn("spool: taken over from the damaged log; what was lost is in the folder moved aside", "entries", kept, "damagedPlaces", findings, "folder", aside)
	return s, nil
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
