package faultdisk_test

import "unsafe"

// aligned returns memory for direct I/O.
func aligned(size, align int) []byte {
	raw := make([]byte, size+align)
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(raw))) & uintptr(align-1)
	return raw[skip : int(skip)+size : int(skip)+size]
}
