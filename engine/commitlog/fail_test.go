package commitlog

import (
	"errors"
	"io"
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
