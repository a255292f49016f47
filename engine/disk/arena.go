package disk

import "fmt"

// Arena is memory outside the garbage collector's heap, aligned to pages, that
// the kernel may read and write while operations are in flight. It lives until
// Free.
type Arena struct {
	bytes []byte
}

// NewArena maps size bytes, a multiple of 4096.
func NewArena(size int) (*Arena, error) {
	if size <= 0 || size%4096 != 0 {
		return nil, fmt.Errorf("map arena: size %d is not a positive multiple of 4096", size)
	}
	b, err := mapMemory(size)
	if err != nil {
		return nil, fmt.Errorf("map arena of %d bytes: %w; lower the buffer sizes or free memory", size, err)
	}
	return &Arena{bytes: b}, nil
}

// Bytes is the whole arena. It must not be used after Free.
func (a *Arena) Bytes() []byte { return a.bytes }

// Free unmaps the arena. Nothing may be in flight.
func (a *Arena) Free() error {
	b := a.bytes
	a.bytes = nil
	if b == nil {
		return nil
	}
	return unmapMemory(b)
}
