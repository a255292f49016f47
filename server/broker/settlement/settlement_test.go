package settlement_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/pending"
	"github.com/apogeemq/apogee/server/broker/settlement"
)

// table is waiting messages and how far the log is applied.
type table struct {
	mu      sync.Mutex
	waiting map[event.Position]pending.Entry
	applied event.Position
	err     error
}

func (t *table) Get(handle event.Position) (pending.Entry, bool, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	e, found := t.waiting[handle]
	return e, found, t.err
}

func (t *table) position() event.Position {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.applied
}

// apply ends a handle by the event at a position.
func (t *table) apply(handle, at event.Position) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.waiting, handle)
	t.applied = at + 1
}

func waitingFor(handles ...event.Position) *table {
	t := &table{waiting: map[event.Position]pending.Entry{}}
	for _, h := range handles {
		t.waiting[h] = pending.Entry{Handle: h, Due: 7}
	}
	return t
}

func begin(t *testing.T, s *settlement.Settlement, handle event.Position) bool {
	t.Helper()
	e, ok, err := s.Begin(handle)
	if err != nil || ok && (e.Handle != handle || e.Due != 7) {
		t.Fatalf("begin %d: %v, %v", handle, e, err)
	}
	return ok
}

func TestAHandleIsDecidedOnceUntilItsConclusionIsApplied(t *testing.T) {
	t.Parallel()
	waiting := waitingFor(10, 20)
	s := settlement.New(waiting, waiting.position)
	if !begin(t, s, 10) || begin(t, s, 10) {
		t.Fatal("a handle was not taken once")
	}
	if !begin(t, s, 20) {
		t.Fatal("a handle keeps another from being decided")
	}
	s.Concluded(10, 100)
	if begin(t, s, 10) {
		t.Fatal("a handle whose conclusion is stored and not applied was decided again")
	}
	waiting.apply(10, 100)
	if begin(t, s, 10) {
		t.Fatal("what has ended was decided again")
	}
	if n := s.Taken(); n != 1 {
		t.Errorf("%d handles are taken, expected the one in flight", n)
	}
}

func TestAWithdrawnHandleIsFreeAgain(t *testing.T) {
	t.Parallel()
	waiting := waitingFor(10)
	s := settlement.New(waiting, waiting.position)
	for range 3 {
		if !begin(t, s, 10) {
			t.Fatal("not free")
		}
		s.Withdraw(10)
	}
}

func TestAHandleThatGoesOnWaitingIsFreeWhenItsMoveIsApplied(t *testing.T) {
	t.Parallel()
	waiting := waitingFor(10)
	s := settlement.New(waiting, waiting.position)
	begin(t, s, 10)
	s.Concluded(10, 50)
	waiting.apply(999, 49)
	if begin(t, s, 10) {
		t.Fatal("free before its event at 50 is applied")
	}
	waiting.apply(999, 50)
	if !begin(t, s, 10) {
		t.Fatal("not free")
	}
}

func TestATableThatCannotBeReadTakesNoHandle(t *testing.T) {
	t.Parallel()
	waiting := waitingFor(10)
	waiting.err = errors.New("broken")
	s := settlement.New(waiting, waiting.position)
	if _, ok, err := s.Begin(10); ok || !errors.Is(err, waiting.err) {
		t.Fatal(ok, err)
	}
	if n := s.Taken(); n != 0 {
		t.Errorf("%d handles are taken", n)
	}
}

// TestWhatEndsBetweenTwoLooksIsNotBegun lets a conclusion be applied after the
// caller has seen the entry.
func TestWhatEndsBetweenTwoLooksIsNotBegun(t *testing.T) {
	t.Parallel()
	waiting := waitingFor(10)
	s := settlement.New(waiting, waiting.position)
	if !begin(t, s, 10) {
		t.Fatal("not begun")
	}
	s.Concluded(10, 100)
	seen := waiting.waiting[10] // a duty has it in hand
	waiting.apply(10, 100)
	if begin(t, s, seen.Handle) {
		t.Fatal("begun again")
	}
}

func TestOfManyGoroutinesOneDecides(t *testing.T) {
	t.Parallel()
	const handles, goroutines = 200, 8
	waiting := waitingFor()
	for h := range event.Position(handles) {
		waiting.waiting[h+1] = pending.Entry{Handle: h + 1, Due: 7}
	}
	s := settlement.New(waiting, waiting.position)
	var decided [handles + 1]atomic.Int32
	var log sync.Mutex
	end := event.Position(handles + 1)
	var all sync.WaitGroup
	for range goroutines {
		all.Go(func() {
			for h := event.Position(1); h <= handles; h++ {
				if _, ok, err := s.Begin(h); err != nil || !ok {
					continue
				}
				decided[h].Add(1)
				log.Lock()
				end++
				s.Concluded(h, end)
				waiting.apply(h, end)
				log.Unlock()
			}
		})
	}
	all.Wait()
	for h := 1; h <= handles; h++ {
		if n := decided[h].Load(); n != 1 {
			t.Errorf("handle %d was decided %d times", h, n)
		}
	}
	if n := s.Taken(); n != 0 {
		t.Errorf("%d handles are taken in the end", n)
	}
}

// beginSeen begins everything that a look at the table shows and returns how
// many handles were taken.
func beginSeen(t *testing.T, s *settlement.Settlement, seen ...pending.Entry) int {
	t.Helper()
	began, err := s.BeginSeen(seen)
	if err != nil {
		t.Fatal(err)
	}
	return len(began)
}

func TestWhatEndsDuringAWatchIsNotBegunByWhoHasSeenItBefore(t *testing.T) {
	t.Parallel()
	waiting := waitingFor(10, 20, 30)
	s := settlement.New(waiting, waiting.position)
	s.Watch()
	ended, free, underWay := waiting.waiting[10], waiting.waiting[20], waiting.waiting[30]
	if !begin(t, s, 10) || !begin(t, s, 30) {
		t.Fatal("not begun")
	}
	s.Concluded(10, 100)
	waiting.apply(10, 100)
	if begin(t, s, 10) { // nothing waits; that frees the handle
		t.Fatal("begun again")
	}
	if n := beginSeen(t, s, ended, free, underWay); n != 1 {
		t.Fatalf("%d were begun, expected the one that nobody has decided about", n)
	}
	if begin(t, s, 20) {
		t.Fatal("what was begun by a look is begun by another")
	}
	s.ConcludedAll([]pending.Entry{free}, []event.Position{101})
	waiting.apply(20, 101)
	s.Unwatch()
	if n := s.Taken(); n != 1 {
		t.Errorf("%d handles are taken, expected the one under way", n)
	}
	s.Watch()
	if n := beginSeen(t, s, underWay); n != 0 {
		t.Error("what is under way is begun again")
	}
	s.WithdrawAll([]pending.Entry{underWay})
	if n := beginSeen(t, s, underWay); n != 1 {
		t.Error("what was withdrawn is not free")
	}
}

func TestAWatchDuringWhichVeryMuchEndsAsksTheTable(t *testing.T) {
	t.Parallel()
	const many = 1<<16 + 10
	waiting := waitingFor()
	for h := range event.Position(many) {
		waiting.waiting[h+1] = pending.Entry{Handle: h + 1, Due: 7}
	}
	s := settlement.New(waiting, waiting.position)
	first, last := waiting.waiting[1], waiting.waiting[many]
	s.Watch()
	for h := event.Position(1); h < many; h++ {
		if !begin(t, s, h) {
			t.Fatal("not begun")
		}
		s.Concluded(h, many+h)
		waiting.apply(h, many+h)
	}
	if n := beginSeen(t, s, first, last); n != 1 {
		t.Errorf("%d of the first, which has ended, and the last, which waits, were begun", n)
	}
}
