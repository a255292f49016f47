package commitlog

import (
	"sync"

	"github.com/apogeemq/apogee/engine/disk"
)

// filler is the progress of zero-writing a segment ahead of the log's end, so
// that an fdatasync on the hot path changes no metadata. The keeper fills; the
// flusher writes behind it and, when it catches up, goes past it.
type filler struct {
	mu       sync.Mutex
	ended    *sync.Cond
	to       int64 // zeros, or log, up to here
	claim    int64 // start of the fill write under way, 0 for none
	claimEnd int64
}

// claimNext reserves the next fill write, at most n bytes and not past limit.
func (f *filler) claimNext(n, limit int64) (from, to int64, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended == nil {
		f.ended = sync.NewCond(&f.mu)
	}
	from, to = f.to, min(f.to+n, limit)
	if from >= to {
		return 0, 0, false
	}
	f.claim, f.claimEnd = from, to
	return from, to, true
}

// release ends the fill write under way.
func (f *filler) release(filled bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if filled {
		f.to = max(f.to, f.claimEnd)
	}
	f.claim, f.claimEnd = 0, 0
	f.ended.Broadcast()
}

// overtake is called before the log writes up to end. Where that is past the
// fill, the fill goes on behind the write instead of over it.
func (f *filler) overtake(end int64) (overtook bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if end <= f.to {
		return false
	}
	for f.claimEnd > 0 && end > f.claim {
		f.ended.Wait()
	}
	if end > f.to {
		f.to = (end + fillWriteBytes - 1) / fillWriteBytes * fillWriteBytes
		return true
	}
	return false
}

func (f *filler) progress() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.to
}

func (f *filler) startAt(offset int64) {
	f.mu.Lock()
	f.to = offset
	f.mu.Unlock()
}

// fillStep zero-writes up to one step of the file and makes it durable. It
// reports whether there was anything to do.
func (k *keeper) fillStep(file disk.File, f *filler, limit int64) (bool, error) {
	did := false
	for step := int64(0); step < fillStepBytes; step += fillWriteBytes {
		from, to, ok := f.claimNext(int64(len(k.zeros)), limit)
		if !ok {
			break
		}
		_, err := file.WriteAt(k.zeros[:to-from], from)
		f.release(err == nil)
		if err != nil {
			return did, err
		}
		k.log.meters.fillBytes.Add(uint64(to - from))
		did = true
	}
	if !did {
		return false, nil
	}
	return true, file.Sync()
}
