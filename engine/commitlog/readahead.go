package commitlog

import "sync"

const (
	// aheadBlocks is how far the history is read ahead of somebody who reads
	// block after block: what is read in vain, where he stops, is no more.
	aheadBlocks = 2
	// aheadShare is the part of the cache that may be read ahead at once; a
	// cache of few blocks needs them for what was asked for.
	aheadShare = 4
)

// readAhead is the part of the history that reads blocks before they are asked
// for, so that who drains a backlog doesn't wait for the disk at every block.
type readAhead struct {
	running int // guarded by the history's mu
	stopped bool
	loads   sync.WaitGroup
}

// passedLocked is told that somebody asked for a block. onward says that he
// came from the block before: it is in the cache, or it had this one read
// ahead. Then the next blocks are read, as far as they are complete.
func (h *history) passedLocked(s source, number int64, onward bool) {
	if !onward {
		return
	}
	for next := number + 1; next <= number+aheadBlocks && blockEnd(next) <= s.stable; next++ {
		key := blockKey{s.base(), next}
		if h.blocks[key] != nil {
			continue
		}
		if !h.startAheadLocked(s, key) {
			return
		}
	}
}

// startAheadLocked begins to read a block, unless enough is read ahead already
// or somebody waits for the segment's readers to leave. The block is in the
// cache from now on, so whoever asks for it waits for this read.
func (h *history) startAheadLocked(s source, key blockKey) bool {
	if h.ahead.stopped || h.ahead.running >= min(aheadBlocks, len(h.ring)/aheadShare) || !s.reading.TryRLock() {
		return false
	}
	b := h.victimLocked()
	if b == nil {
		s.reading.RUnlock()
		return false
	}
	b.key, b.loading, b.pins = key, true, 1
	h.blocks[key] = b
	h.ahead.running++
	h.ahead.loads.Add(1)
	go h.loadAhead(s, b)
	return true
}

// loadAhead reads one block. An error is for those who ask for the block: they
// meet it again.
func (h *history) loadAhead(s source, b *historyBlock) {
	defer h.ahead.loads.Done()
	defer s.reading.RUnlock()
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.loadLocked(b, s.file) == nil {
		b.pins--
		b.ahead, b.touched = true, touchedMax // it is not to go before it was used
	}
	h.ahead.running--
}

// stopAhead waits until nothing is read ahead any more.
func (h *history) stopAhead() {
	h.mu.Lock()
	h.ahead.stopped = true
	h.mu.Unlock()
	h.ahead.loads.Wait()
}
