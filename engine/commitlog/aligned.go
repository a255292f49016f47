package commitlog

import "unsafe"

// alignedBytes is a slice of n bytes on the heap whose address is a multiple
// of align, for direct I/O outside the hot path. Go's collector doesn't move it.
func alignedBytes(n, align int) []byte {
	b := make([]byte, n+align)
	skip := 0
	if over := int(uintptr(unsafe.Pointer(unsafe.SliceData(b))) % uintptr(align)); over > 0 {
		skip = align - over
	}
	return b[skip : skip+n : skip+n]
}
