package replication

import (
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk/faultdisk"
	"github.com/apogeemq/apogee/engine/event"
)

func TestASingleNodeThatLostPowerSaysInItsLogWhatMayBeMissing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	since := func(boot byte) *Single {
		o := options(t, dir, engine.CommitWritten)
		o.Engine.Log.Boot = [16]byte{boot}
		return open(t, o)
	}
	s := since(1)
	sendAll(t, s, event.Queue{Topic: 1}, 20)
	running, err := os.ReadFile(filepath.Join(dir, "running"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "running"), running, 0o600); err != nil {
		t.Fatal(err)
	}
	s = since(2)
	kept, _, _ := s.Engine().Log().End()
	s.telling.Wait()
	if _, lost := s.Engine().Log().Loss(); lost {
		t.Error("the loss doesn't end when it is told")
	}
	var told []event.Lost
	end, _, _ := s.Engine().Log().End()
	err = s.Engine().Log().CursorFrom(2).Visit(end, func(f commitlog.Frame) error {
		e, _, err := event.Split(f.Data)
		if err == nil && e.Kind() == event.KindLost {
			var l event.Lost
			l, err = event.DecodeLost(e.Payload())
			told = append(told, l)
		}
		return err
	})
	if err != nil || len(told) != 1 || told[0].Cause != event.LostByPower || told[0].Kept > kept || told[0].Kept == 0 {
		t.Errorf("the log tells of %+v, %v; want one loss behind frame %d", told, err, kept)
	}
	if _, next := s.Engine().Bounds(event.Queue{Topic: 1}); next != 20 {
		t.Errorf("the queue has %d messages, want 20", next)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestALossIsToldWhenTheWordOfItIsCommitted: the note of it goes after that.
func TestALossIsToldWhenTheWordOfItIsCommitted(t *testing.T) {
	t.Parallel()
	o := options(t, t.TempDir(), engine.CommitDurable)
	d := faultdisk.New(o.Engine.Log.Disk, nil, faultdisk.SystemClock{})
	o.Engine.Log.Disk = d
	s := open(t, o)
	rules, err := faultdisk.Parse("sync:*.seg:*=hang")
	if err != nil {
		t.Fatal(err)
	}
	d.Set(rules)
	release := sync.OnceFunc(func() {
		d.Set(nil)
		d.Release()
	})
	defer release()
	loss := commitlog.Loss{Cause: event.LostByPower, Kept: 1, Position: 1}
	stop, told := make(chan struct{}), make(chan bool, 1)
	go func() { told <- s.tellLoss(loss, stop) }()
	close(stop)
	if <-told {
		t.Error("a loss counts as told while the disk hasn't the word of it")
	}
	release()
	if !s.tellLoss(loss, make(chan struct{})) {
		t.Error("a loss that the log tells of doesn't count as told")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
