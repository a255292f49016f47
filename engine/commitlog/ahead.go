package commitlog

import "github.com/apogeemq/apogee/engine/disk"

// aheadOf asks to read on behind a block.
type aheadOf struct {
	segment *segment
	number  int64
}

const (
	// aheadBlocks is how far reading ahead goes.
	aheadBlocks = 2
	// aheadWaiting bounds the requests that wait; more are dropped.
	aheadWaiting = 16
	// aheadBlocksMin is the size of a cache below which nothing is read ahead.
	aheadBlocksMin = 16
	// historyReads bounds the reads of the device that run at once.
	historyReads = 2
)

// askAheadLocked asks for the next blocks where a region is being read in
// order: at the first use of a block that was read ahead, or whose predecessor
// is here.
func (h *history) askAheadLocked(b *historyBlock, s *segment) {
	first := b.ahead
	b.ahead = false
	if !first {
		if b.asked {
			return
		}
		before := h.blocks[blockKey{segment: b.key.segment, number: b.key.number - 1}]
		first = before != nil && before.loaded
	}
	b.asked = true
	if !first || h.shelf.total < aheadBlocksMin {
		return
	}
	select {
	case h.ahead <- aheadOf{segment: s, number: b.key.number}:
	default:
	}
}

// readAhead is the goroutine that reads ahead.
func (h *history) readAhead() {
	defer close(h.stopped)
	for {
		select {
		case <-h.stop:
			return
		case r := <-h.ahead:
			for i := range int64(aheadBlocks) {
				// A read that fails is not missed: who needs the block reads it again.
				_ = r.segment.read(func(file disk.File) error { return h.prefetch(r.segment, r.number+1+i, file) })
			}
		}
	}
}

// prefetch loads a whole block for readers to come.
func (h *history) prefetch(s *segment, number int64, file disk.File) error {
	stable := h.stable(s)
	if (number+1)*historyBlockBytes > stable {
		return nil
	}
	key := blockKey{segment: s.base(), number: number}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.blocks[key] != nil {
		return nil
	}
	b := h.victimLocked()
	if b == nil {
		return nil
	}
	if err := h.loadLocked(b, key, file, stable); err != nil {
		return err
	}
	b.ahead = true
	b.pins--
	h.ended.Broadcast()
	return nil
}
