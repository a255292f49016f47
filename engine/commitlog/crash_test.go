package commitlog

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/apogeemq/apogee/engine/disk/simdisk"
	"github.com/apogeemq/apogee/engine/event"
)

// Crash tests: a log on a simulated disk loses power at a random step, again
// and again. What must hold after each recovery:
//
//   - every frame that was acknowledged as Durable is there, unchanged;
//   - the frames are a prefix of what was appended: nothing is missing in
//     between, nothing appears that was never appended;
//   - only frames that a Trim asked for are gone from the start.
//
// A failing seed prints the command that runs it alone.

var (
	crashSeed  = flag.Uint64("crash.seed", 0, "run this seed alone")
	crashSeeds = flag.Uint64("crash.seeds", 300/seedShare, "how many seeds to run")
)

// history of one simulated life of a log over several power cuts.
type crashRun struct {
	t        *testing.T
	seed     uint64
	replay   string
	rng      *rand.Rand
	opts     Options
	appended [][]byte // data of frame 2, 3 …
	acked    int      // how many of them are promised
	trimmed  event.Index
	mu       sync.Mutex
	failure  error
}

func (r *crashRun) fatalf(format string, args ...any) {
	r.t.Helper()
	r.t.Fatalf("%s\nreplay: %s", fmt.Sprintf(format, args...), r.replay)
}

func TestAcknowledgedFramesSurvivePowerCuts(t *testing.T) {
	t.Parallel()
	seeds := make(chan uint64)
	var workers sync.WaitGroup
	for range 4 {
		workers.Go(func() {
			for seed := range seeds {
				t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { runCrashes(t, seed) })
			}
		})
	}
	if *crashSeed != 0 {
		seeds <- *crashSeed
	} else {
		for seed := uint64(1); seed <= *crashSeeds; seed++ {
			seeds <- seed
		}
	}
	close(seeds)
	workers.Wait()
}

func runCrashes(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 77))
	r := &crashRun{t: t, seed: seed, rng: rng,
		replay: fmt.Sprintf("go test ./engine/commitlog -run TestAcknowledgedFramesSurvivePowerCuts -crash.seed=%d", seed)}
	d := simdisk.New(seed, simdisk.Options{BlockBytes: 4096, StaleBytes: seed%3 == 0})
	r.opts = Options{
		SegmentBytes: 128 << 10, TailBytes: 96 << 10, HistoryBytes: historyBlockBytes,
		Create: Creation{Meta: Meta{Log: event.LogID{byte(seed), 1}}, Configuration: []byte("one voter"), Timestamp: 1},
		Fatal:  r.fail,
	}
	if seed%5 == 0 {
		r.opts.Method = FlushDsync
	}
	if seed%4 == 3 { // room for frames that begin in a block of their own
		r.opts.SegmentBytes, r.opts.TailBytes = 512<<10, 384<<10
	}
	if seed%7 == 0 {
		r.opts.Policy = FlushOnRequest
	}
	for range 3 {
		d.CrashAfter(1 + rng.Uint64N(400))
		r.opts.Disk = d
		r.live()
		if rng.IntN(4) == 0 {
			d = d.Kill()
		} else {
			d = d.Crash()
		}
	}
	r.opts.Disk = d
	l, _, err := Open(r.opts)
	if err != nil {
		r.fatalf("open after the last cut: %v", err)
	}
	r.check(l)
	if err := l.Close(); err != nil {
		r.fatalf("close: %v", err)
	}
}

func (r *crashRun) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failure = err
}

// live opens the log, checks it and appends until the power is gone.
func (r *crashRun) live() {
	l, _, err := Open(r.opts)
	if err != nil {
		if !r.opts.Disk.(*simdisk.Disk).Crashed() {
			r.fatalf("open: %v", err)
		}
		return
	}
	r.check(l)
	for range 150 {
		if !r.appendOne(l) {
			break
		}
		if r.rng.IntN(25) == 0 && !r.trim(l) {
			break
		}
	}
	err = l.Close()
	if err == nil {
		r.acked = len(r.appended)
	} else if !r.opts.Disk.(*simdisk.Disk).Crashed() {
		r.fatalf("close: %v", err)
	}
}

// appendOne appends a batch, mostly small, and sometimes waits for its promise.
func (r *crashRun) appendOne(l *Log) bool {
	size := r.rng.IntN(600)
	switch r.rng.IntN(20) {
	case 0:
		size = r.rng.IntN(r.opts.TailBytes / 11)
	case 1:
		size = 3500 + r.rng.IntN(1000)
	}
	data := encoded(l.Seed(), len(r.appended)+int(r.seed)*1000, size)
	b := Batch{Kind: FrameEvents, Term: 1, Events: 1, Timestamp: int64(len(r.appended)), Data: data}
	if r.seed%2 == 1 {
		if lease, room := l.Lease(len(data)); !lease.None() {
			copy(room, data)
			b.Data, b.Lease = room, lease
		}
	}
	ticket, err := l.Append(b)
	if err != nil {
		return false
	}
	r.appended = append(r.appended, data)
	if r.rng.IntN(3) > 0 {
		return true
	}
	if r.opts.Policy == FlushOnRequest {
		l.Flush()
	}
	if err := l.Wait(ticket, Durable); err != nil {
		return false
	}
	r.acked = len(r.appended)
	return true
}

// trim drops some of the sealed segments, whose files are then used again.
func (r *crashRun) trim(l *Log) bool {
	ends := l.SegmentEnds()
	if len(ends) == 0 {
		return true
	}
	through := ends[r.rng.IntN(len(ends))]
	r.trimmed = max(r.trimmed, through)
	return l.Trim(through) == nil
}

// check compares the log with what was appended and makes that the new truth.
func (r *crashRun) check(l *Log) {
	end, _, _ := l.End()
	first, _ := l.First()
	if first > r.trimmed+1 {
		r.fatalf("the log begins with frame %d, a trim went to %d at most", first, r.trimmed)
	}
	first = max(first, 2)
	got := r.appended[: first-2 : first-2]
	err := l.CursorFrom(first).Visit(end, func(f Frame) error {
		got = append(got, bytes.Clone(f.Data))
		return nil
	})
	if err != nil && !r.opts.Disk.(*simdisk.Disk).Crashed() {
		r.fatalf("read the log: %v", err)
	}
	if err != nil {
		return
	}
	if len(got) < r.acked {
		r.fatalf("%d frames are there, %d were acknowledged", len(got), r.acked)
	}
	if len(got) > len(r.appended) {
		r.fatalf("%d frames are there, %d were appended", len(got), len(r.appended))
	}
	for i := range got {
		if !bytes.Equal(got[i], r.appended[i]) {
			r.fatalf("frame %d isn't what was appended", i+2)
		}
	}
	r.appended = r.appended[:len(got)]
	r.acked = len(got) // recovery made them durable
}
