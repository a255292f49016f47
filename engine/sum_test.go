package engine

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"testing"

	"github.com/apogeemq/apogee/engine/disk/simdisk"
	"github.com/apogeemq/apogee/engine/event"
)

func mustSum(t *testing.T, e *Engine, at event.Index) Sum {
	t.Helper()
	s, err := e.Sum(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCopiesOfALogHaveEqualSumsHoweverTheirProjectionsCameAbout(t *testing.T) {
	t.Parallel()
	leader, base := leaderOfTrimmedLog(t, 41)
	defer func() { mustClose(t, leader) }()
	settle(t, leader)
	end := leader.Marks().Applied
	want := mustSum(t, leader, end)
	if len(want.Parts) != len(leader.Projections())+1 || want.Index != end {
		t.Fatalf("the sum is %+v", want)
	}
	o := replicaOptions(simdisk.New(42, simdisk.Options{}), 41)
	replica := mustOpen(t, o)
	defer func() { mustClose(t, replica) }()
	if err := replica.Install(bytes.NewReader(base), replica.log.Reset); err != nil {
		t.Fatal(err)
	}
	early := make(chan Sum, 1)
	go func() {
		s, err := replica.Sum(t.Context(), end)
		if err != nil {
			t.Error(err)
		}
		early <- s
	}()
	catchUp(t, leader, replica)
	if got := <-early; !reflect.DeepEqual(got, want) {
		t.Fatalf("waited for: got %+v, want %+v", got, want)
	}
	for _, life := range []string{"started again", "rebuilt"} {
		mustClose(t, replica)
		if life == "rebuilt" {
			deleteIndex(t, o.Log.Disk)
		}
		replica = mustOpen(t, o)
		catchUp(t, leader, replica)
		if got := mustSum(t, replica, end); !reflect.DeepEqual(got, want) {
			t.Fatalf("%s: got %+v, want %+v", life, got, want)
		}
	}
}

func TestASumIsOfOneFrame(t *testing.T) {
	t.Parallel()
	e, w := mustOpen(t, testOptions(simdisk.New(43, simdisk.Options{}), 43)), newWorkload(43)
	defer func() { mustClose(t, e) }()
	if _, err := w.run(e, 40); err != nil {
		t.Fatal(err)
	}
	settle(t, e)
	before := mustSum(t, e, 0)
	if before.Index != e.Marks().Applied {
		t.Fatalf("the sum is of frame %d", before.Index)
	}
	if again := mustSum(t, e, before.Index); !reflect.DeepEqual(again, before) {
		t.Fatalf("got %+v, want %+v", again, before)
	}
	if _, err := w.run(e, 40); err != nil {
		t.Fatal(err)
	}
	settle(t, e)
	if _, err := e.Sum(t.Context(), before.Index); !errors.Is(err, ErrPassed) {
		t.Fatalf("a frame that was passed: %v", err)
	}
	if after := mustSum(t, e, 0); after.Chain == before.Chain || reflect.DeepEqual(after.Parts, before.Parts) {
		t.Fatalf("40 frames change nothing: %+v", after)
	}
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := e.Sum(over, e.Marks().Applied+1000); !errors.Is(err, context.Canceled) {
		t.Fatalf("a frame that doesn't come: %v", err)
	}
	mustSum(t, e, 0) // the one that was given up holds up no other
}

// TestSumsOfThisVersionStayAsTheyAre: replicas of one version compare theirs, and
// take others for a difference. Whoever changes what a projection writes raises
// SumVersion, and this.
func TestSumsOfThisVersionStayAsTheyAre(t *testing.T) {
	t.Parallel()
	e, _ := leaderOfTrimmedLog(t, 41)
	defer func() { mustClose(t, e) }()
	settle(t, e)
	want := []PartSum{
		{"queue", "9bc1893665ca1366"}, {"topic", "72359b6c324d259c"}, {"offset", "24ecf026c0ba828d"}, {"group", "04fb0cc619139d07"},
		{"retention", "63e0dd9256adbf5a"}, {"lock", "7c9fa136d4413fa6"}, {"waiting", "0.0.0000000000000000"},
	}
	if got := mustSum(t, e, e.Marks().Applied).Parts; SumVersion != 1 || !reflect.DeepEqual(got, want) {
		t.Errorf("version %d: got %+v, want %+v", SumVersion, got, want)
	}
}
