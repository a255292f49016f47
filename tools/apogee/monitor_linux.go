package main

import (
	"context"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// monitorSleep is shorter than the 10 ms after which Go's monitor would
	// interrupt a goroutine.
	monitorSleep = 5 * time.Millisecond
	// monitorPeriod is how often the process looks whether it has work.
	monitorPeriod = time.Second
	// monitorShare of a core is work enough.
	monitorShare = 0.02
)

// slowMonitor keeps the monitor thread of Go's runtime from waking up every
// 20 µs while the server works. The monitor falls asleep when no goroutine
// runs, the next system call wakes it, and it then looks for blocked threads
// some thousand times before it trusts the peace. A server that waits for a
// disk or for other nodes thousands of times a second has it awake for good: a
// fifth of its CPU time. The monitor doesn't fall asleep, and slows down to
// every 10 ms, as long as one of the scheduler's processors is taken. So there
// is one more than cores, and a goroutine that takes it sleeps in the kernel
// without telling the scheduler. A collection of garbage interrupts it by a
// signal, as it does any goroutine. Once the number was set the runtime no
// longer follows changes of a container's limit.
func slowMonitor(ctx context.Context) {
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	timer := time.NewTicker(monitorPeriod)
	defer timer.Stop()
	var before time.Duration
	for {
		used := processorTime()
		if works := used-before > time.Duration(monitorShare*float64(monitorPeriod)); works {
			takeProcessor(ctx, monitorPeriod)
		}
		before = used
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
	}
}

// takeProcessor holds one of the scheduler's processors asleep.
func takeProcessor(ctx context.Context, period time.Duration) {
	sleep := unix.NsecToTimespec(int64(monitorSleep))
	for end := time.Now().Add(period); time.Now().Before(end) && ctx.Err() == nil; {
		// Raw: the scheduler would give the processor to others.
		_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&sleep)), 0, 0)
		runtime.Gosched()
	}
}

// processorTime is the CPU time of the process so far.
func processorTime() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
