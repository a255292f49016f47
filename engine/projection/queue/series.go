package queue

import "sync/atomic"

const seriesChunk = 512

// series is a list that one goroutine appends to while others read.
type series[T any] struct {
	chunks atomic.Pointer[[]*[seriesChunk]T]
	count  atomic.Int64
}

func (s *series[T]) add(v T) {
	n := s.count.Load()
	var list []*[seriesChunk]T
	if p := s.chunks.Load(); p != nil {
		list = *p
	}
	if int(n) == len(list)*seriesChunk {
		// Appending in place is seen by no reader of the old, shorter list.
		list = append(list, new([seriesChunk]T))
		s.chunks.Store(&list)
	}
	list[n/seriesChunk][n%seriesChunk] = v
	s.count.Store(n + 1)
}

// length is how many items there are; those below it never change.
func (s *series[T]) length() int { return int(s.count.Load()) }

// at returns item i, which is below a length that the caller has seen.
func (s *series[T]) at(i int) T { return (*s.chunks.Load())[i/seriesChunk][i%seriesChunk] }

// all copies the list.
func (s *series[T]) all() []T {
	out := make([]T, s.length())
	for i := range out {
		out[i] = s.at(i)
	}
	return out
}
