package pending

import "sort"

// fifo is a queue whose elements are numbered from the first one ever on.
type fifo[E any] struct {
	elements []E
	head     int    // of the first element in the queue
	begin    uint64 // its number
}

func (q *fifo[E]) len() int { return len(q.elements) - q.head }

// next is the number of the next element.
func (q *fifo[E]) next() uint64 { return q.begin + uint64(q.len()) }

func (q *fifo[E]) push(e E) { q.elements = append(q.elements, e) }

// at is the element with a number; it has to be in the queue.
func (q *fifo[E]) at(number uint64) *E { return &q.elements[q.head+int(number-q.begin)] }

// search is the number of the first element that is behind, next where none is.
// All that follow one that is behind are behind, too.
func (q *fifo[E]) search(behind func(*E) bool) uint64 {
	n := sort.Search(q.len(), func(i int) bool { return behind(&q.elements[q.head+i]) })
	return q.begin + uint64(n)
}

func (q *fifo[E]) first() (*E, bool) {
	if q.len() == 0 {
		return nil, false
	}
	return &q.elements[q.head], true
}

func (q *fifo[E]) last() (*E, bool) {
	if q.len() == 0 {
		return nil, false
	}
	return &q.elements[len(q.elements)-1], true
}

// drop removes the first n elements. The array is moved down when half of it
// is free, so an element is moved once at most on average.
func (q *fifo[E]) drop(n int) {
	q.head += n
	q.begin += uint64(n)
	if q.head > len(q.elements)/2 {
		q.elements = q.elements[:copy(q.elements, q.elements[q.head:])]
		q.head = 0
	}
}
