package commitlog

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
)

func TestDurableFramesThatAreDamagedAtTheStartAreFetchedFromACopy(t *testing.T) {
	t.Parallel()
	w := newTwins(t, mixedSizes)
	before := segmentFiles(t, w.dir)
	w.spoil(t, 55, headerBytes+5, headerBytes+6)
	w.spoil(t, 57, 0, 2000)
	if w.at[55].Segment != w.at[59].Segment {
		t.Fatal("the damage isn't in the last segment")
	}
	if _, _, err := reopen(t, w.dir); !errors.Is(err, ErrCorrupt) {
		t.Fatalf("opened without another copy: %v", err)
	}
	r := w.open(t)
	want := []Damaged{{w.at[55].Index, w.at[55].Index}, {w.at[57].Index, w.at[57].Index}}
	if len(r.Damaged) != 2 || r.Damaged[0] != want[0] || r.Damaged[1] != want[1] || r.End != w.at[59].Index || r.TornBytes != 0 {
		t.Fatalf("recovery %+v, want %v damaged and nothing cut", r, want)
	}
	if _, lost := w.l.Loss(); lost {
		t.Error("a loss is noted, though everything is there or can be fetched")
	}
	compare(t, frames(t, w.l)[1:], w.data)
	w.mustBeAsBefore(t, before)
	more := encoded(w.l.Seed(), 1000, 700)
	if err := w.l.Wait(mustAppend(t, w.l, more), Durable); err != nil {
		t.Fatal(err)
	}
	if err := w.l.Close(); err != nil {
		t.Fatal(err)
	}
	if r := w.open(t); len(r.Damaged) > 0 {
		t.Errorf("damage after the repair: %+v", r)
	}
	compare(t, frames(t, w.l)[1:], append(w.data[:60:60], more))
}

func TestWhatIsDamagedUpToTheEndIsCutAndNotedAsALossUntilThatEnds(t *testing.T) {
	t.Parallel()
	w := newTwins(t, mixedSizes)
	for i := 56; i < 60; i++ {
		w.spoil(t, i, 0, int(w.at[i].DataBytes))
	}
	r := w.open(t)
	if r.End != w.at[55].Index || r.TornBytes == 0 {
		t.Fatalf("recovery %+v, want the end at frame %d", r, w.at[55].Index)
	}
	want := Loss{Cause: event.LostByDamage, Kept: w.at[55].Index, Position: w.at[55].End(), Had: w.at[59].Index}
	for life := range 2 {
		if loss, lost := w.l.Loss(); !lost || loss != want {
			t.Fatalf("life %d: loss %+v %v, want %+v", life, loss, lost, want)
		}
		if err := w.l.Close(); err != nil {
			t.Fatal(err)
		}
		w.open(t)
	}
	compare(t, frames(t, w.l)[1:], w.data[:56])
	if err := errors.Join(w.l.EndLoss(), w.l.Close()); err != nil {
		t.Fatal(err)
	}
	w.open(t)
	if loss, lost := w.l.Loss(); lost {
		t.Errorf("loss %+v after its end", loss)
	}
}

// lives opens and closes a log in one folder.
type lives struct {
	t    *testing.T
	disk disk.Disk
}

func (v lives) open(policy FlushPolicy, boot byte) *Log {
	v.t.Helper()
	d, err := disk.Open(v.disk.Path())
	if err != nil {
		v.t.Fatal(err)
	}
	o := testOptions(v.t, d)
	o.Policy, o.Boot = policy, [16]byte{boot}
	l, _ := mustOpen(v.t, o)
	return l
}

func TestAPowerCutIsToldFromTheEndOfAProcess(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name       string
		policy     FlushPolicy
		dies       bool // without Close
		bootBefore byte
		bootAfter  byte
		lost       bool
	}{
		{"closed in order, then another boot", FlushOnRequest, false, 1, 2, false},
		{"killed", FlushOnRequest, true, 1, 1, false},
		{"the machine went down", FlushOnRequest, true, 1, 2, true},
		{"nothing is known of boots", FlushOnRequest, true, 0, 0, true},
		{"the machine went down, every write was synced", FlushAtOnce, true, 1, 2, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			v := lives{t, openPosix(t)}
			l := v.open(c.policy, c.bootBefore)
			ticket := mustAppend(t, l, encoded(l.Seed(), 1, 500))
			running, _ := os.ReadFile(filepath.Join(v.disk.Path(), runningName))
			if c.bootBefore == 0 && len(running) > 0 { // this machine knows its boot, another may not
				if err := writeRunning(v.disk, l.Seed(), [16]byte{}); err != nil {
					t.Fatal(err)
				}
				running, _ = os.ReadFile(filepath.Join(v.disk.Path(), runningName))
			}
			if err := errors.Join(l.Wait(ticket, Written), l.Close()); err != nil {
				t.Fatal(err)
			}
			if c.dies && len(running) > 0 { // what a process that dies leaves behind
				if err := os.WriteFile(filepath.Join(v.disk.Path(), runningName), running, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			l = v.open(c.policy, c.bootAfter)
			loss, lost := l.Loss()
			end, _, position := l.End()
			if lost != c.lost || lost && (loss.Cause != event.LostByPower || loss.Kept != end || loss.Position != position) {
				t.Errorf("loss %+v %v, want %v, behind frame %d", loss, lost, c.lost, end)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
