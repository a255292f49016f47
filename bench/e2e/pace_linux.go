package e2e

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// pace gives the calling goroutine a thread with precise sleeps: Go's own
// timers may be a millisecond late on an idle machine, and that would be
// counted as latency. The returned function undoes it.
func pace() func() {
	runtime.LockOSThread()
	const slackNanoseconds = 1
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, slackNanoseconds, 0, 0, 0) // else sleeps are 50 µs longer
	return runtime.UnlockOSThread
}

// sleep waits for about d; a signal may end it early.
func sleep(d time.Duration) {
	t := unix.NsecToTimespec(int64(d))
	_ = unix.Nanosleep(&t, nil)
}
