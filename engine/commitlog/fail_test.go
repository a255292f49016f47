package commitlog

import (
	"errors"
	"io"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/apogeemq/apogee/engine/disk/faultdisk"
)

// failing breaks a log's disk by a rule and returns what ends the process.
func failing(t *testing.T, rule string) (l *Log, refusal, fatal error) {
	t.Helper()
	o, d := faulty(t, "")
	ended := make(chan error, 1)
	o.Fatal = func(err error) {
		select {
		case ended <- err:
		default:
		}
	}
	l, _ = mustOpen(t, o)
	appendMany(t, l, 0, 5, 1000)
	end, _, _ := l.End()
	if err := l.Wait(Ticket{Index: end}, Durable); err != nil {
		t.Fatal(err)
	}
	rules, err := faultdisk.Parse(rule)
	if err != nil {
		t.Fatal(err)
	}
	d.Set(rules)
	refusal = l.Wait(mustAppend(t, l, encoded(l.Seed(), 5, 9000)), Durable)
	select {
	case fatal = <-ended:
	default:
	}
	if m := l.Marks(); refusal != nil && m.Durable != end {
		t.Errorf("marks %+v after %s, durable was %d", m, rule, end)
	}
	_ = l.Close()
	return l, refusal, fatal
}

func TestAShortWriteEndsTheProcessAndAcknowledgesNothing(t *testing.T) {
	t.Parallel()
	_, refusal, fatal := failing(t, "write:*.seg:1=short(4096)")
	if !errors.Is(refusal, ErrFailed) || !errors.Is(fatal, io.ErrShortWrite) {
		t.Errorf("wait: %v, fatal: %v", refusal, fatal)
	}
}

func TestAFailedWriteEndsTheProcessAndNamesThePlace(t *testing.T) {
	t.Parallel()
	_, refusal, fatal := failing(t, "write:*.seg:1=EIO")
	if !errors.Is(refusal, ErrFailed) || !errors.Is(fatal, syscall.EIO) ||
		!strings.Contains(fatal.Error(), "of segment 00000000000000000000.seg: ") || !strings.Contains(fatal.Error(), "restart to recover") {
		t.Errorf("wait: %v, fatal: %v", refusal, fatal)
	}
}

func TestAFailedSyncEndsTheProcessAndIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	l, refusal, fatal := failing(t, "sync:*.seg:1=EIO")
	if !errors.Is(refusal, ErrFailed) || !errors.Is(fatal, syscall.EIO) || !strings.Contains(fatal.Error(), "sync segment") {
		t.Errorf("wait: %v, fatal: %v", refusal, fatal)
	}
	if _, err := l.Append(Batch{Kind: FrameEvents, Term: 1, Events: 1, Data: []byte{1}}); !errors.Is(err, ErrFailed) {
		t.Errorf("append afterwards: %v", err)
	}
}

// TestAnAppendThatWaitsForRoomIsRefusedWhenTheLogFails: with a ticket of no
// frame it would count as durable at once.
func TestAnAppendThatWaitsForRoomIsRefusedWhenTheLogFails(t *testing.T) {
	t.Parallel()
	o, d := faulty(t, "")
	o.Fatal = func(error) {}
	l, _ := mustOpen(t, o)
	rules, err := faultdisk.Parse("write:*.seg:*=hang")
	if err != nil {
		t.Fatal(err)
	}
	d.Set(rules)
	const size = 9000
	refused := make(chan error)
	go func() {
		for i := 0; ; i++ {
			ticket, err := l.Append(Batch{Kind: FrameEvents, Term: 1, Events: 1, Data: encoded(l.Seed(), i, size)})
			if err == nil && ticket.Index == 0 {
				err = errors.New("the append is accepted, and nothing was appended")
			}
			if err != nil {
				refused <- err
				return
			}
		}
	}()
	// Nothing tells that it waits; but after so many looks without progress it
	// does, or the processor is busy and the test proves less.
	for still, before := 0, -1; still < 10_000; runtime.Gosched() {
		l.tail.mu.Lock()
		unwritten := l.tail.unwritten
		l.tail.mu.Unlock()
		if still++; unwritten != before || unwritten < o.TailBytes/2 {
			still, before = 0, unwritten
		}
	}
	l.fail(io.ErrUnexpectedEOF)
	if err := <-refused; !errors.Is(err, ErrFailed) {
		t.Errorf("append: %v", err)
	}
	d.Set(nil)
	d.Release()
	_ = l.Close()
}
