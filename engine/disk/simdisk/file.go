package simdisk

import (
	"fmt"
	"io"
	"io/fs"
	"syscall"
	"unsafe"

	"github.com/apogeemq/apogee/engine/disk"
)

// file is a handle. Its name is the one it was opened by.
type file struct {
	disk   *Disk
	node   *inode
	name   string
	mode   disk.Mode
	closed bool
}

var _ disk.File = (*file)(nil)

// usable must be called with the disk's mutex held.
func (f *file) usable() error {
	if f.closed {
		return fs.ErrClosed
	}
	return f.disk.alive()
}

func (f *file) writable() error {
	if err := f.usable(); err != nil {
		return err
	}
	if f.mode == disk.Read {
		return fmt.Errorf("%w: the file was opened for reading", syscall.EBADF)
	}
	return nil
}

// aligned checks what direct I/O asks for.
func (f *file) aligned(p []byte, at int64) error {
	if at < 0 {
		return fmt.Errorf("%w: offset %d", syscall.EINVAL, at)
	}
	if f.mode != disk.DirectReadWrite && f.mode != disk.DirectCreate {
		return nil
	}
	block := uint64(f.disk.options.BlockBytes)
	address := uint64(address(p))
	if len(p) > 0 && (address|uint64(len(p))|uint64(at))&(block-1) != 0 {
		return fmt.Errorf("%w: direct I/O of %d bytes at %d from address %#x isn't a multiple of %d",
			syscall.EINVAL, len(p), at, address, block)
	}
	return nil
}

func address(p []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(p))) }

// ReadAt implements io.ReaderAt.
func (f *file) ReadAt(p []byte, at int64) (int, error) {
	f.disk.mutex.Lock()
	defer f.disk.mutex.Unlock()
	err := f.usable()
	if err == nil {
		err = f.aligned(p, at)
	}
	if err != nil {
		return 0, f.failed("read", err)
	}
	length := min(int64(len(p)), max(0, f.node.size-at))
	for _, s := range f.node.failing {
		if at < s.to && s.from < at+length {
			return 0, f.failed("read", fmt.Errorf("bytes [%d, %d): %w", at, at+length, syscall.EIO))
		}
	}
	f.node.current.readAt(p[:length], at)
	if length < int64(len(p)) {
		return int(length), io.EOF
	}
	return int(length), nil
}

// WriteAt implements io.WriterAt.
func (f *file) WriteAt(p []byte, at int64) (int, error) {
	f.disk.mutex.Lock()
	defer f.disk.mutex.Unlock()
	err := f.writable()
	if err == nil {
		err = f.aligned(p, at)
	}
	if err == nil {
		err = f.disk.reserve(f.node, int64(len(p)), at)
	}
	if err == nil {
		err = f.disk.step(Operation{Kind: "write", Name: f.name, At: at, Bytes: int64(len(p))})
		data := append([]byte(nil), p...)
		if err != nil {
			// The power went during the write: it is in flight for ever.
			f.disk.inFlight = append(f.disk.inFlight, &operation{kind: operationWrite, file: f, at: at, data: data})
		} else {
			f.disk.write(f.node, data, at)
		}
	}
	if err != nil {
		return 0, f.failed("write", err)
	}
	return len(p), nil
}

// fileBytesMax bounds the memory that one write far out can take.
const fileBytesMax = 1 << 42

// reserve checks that there is space for a write.
func (d *Disk) reserve(node *inode, length, at int64) error {
	if at > fileBytesMax-length {
		return fmt.Errorf("%w: write of %d bytes at %d; a file has %d at most", syscall.EFBIG, length, at, int64(fileBytesMax))
	}
	if node.current.missing(at, length, node.reserved) > d.freePages() {
		return disk.ErrNoSpace
	}
	return nil
}

// write applies a completed write. It keeps data.
func (d *Disk) write(node *inode, data []byte, at int64) {
	if node.reachable() {
		d.usedPages += node.current.missing(at, int64(len(data)), node.reserved)
	}
	d.sequence++
	node.write(d.sequence, data, at)
}

// Sync implements disk.File.
func (f *file) Sync() error { return f.sync("sync", (*inode).sync) }

// SyncData implements disk.File.
func (f *file) SyncData() error { return f.sync("sync data", (*inode).syncData) }

func (f *file) sync(kind string, apply func(*inode, uint64)) error {
	f.disk.mutex.Lock()
	defer f.disk.mutex.Unlock()
	err := f.usable()
	if err == nil {
		err = f.disk.step(Operation{Kind: kind, Name: f.name})
	}
	if err != nil {
		return f.failed(kind, err)
	}
	apply(f.node, f.disk.sequence)
	return nil
}

// Allocate implements disk.File. It never makes a file smaller.
func (f *file) Allocate(size int64) error {
	f.disk.mutex.Lock()
	defer f.disk.mutex.Unlock()
	err := f.resizable(size)
	if err == nil {
		err = f.allocate(size)
	}
	if err != nil {
		return f.failed("allocate", err)
	}
	return nil
}

func (f *file) allocate(size int64) error {
	node := f.node
	reserved := max(node.reserved, pagesFor(size))
	grows := reserved + node.current.pagesFrom(reserved) - node.pages()
	if grows > f.disk.freePages() {
		return fmt.Errorf("%d bytes: %w", size, disk.ErrNoSpace)
	}
	err := f.disk.step(Operation{Kind: "allocate", Name: f.name, Bytes: size})
	f.disk.resize(node, max(node.size, size), reserved)
	return err
}

// Truncate implements disk.File.
func (f *file) Truncate(size int64) error {
	f.disk.mutex.Lock()
	defer f.disk.mutex.Unlock()
	err := f.resizable(size)
	if err == nil {
		err = f.disk.step(Operation{Kind: "truncate", Name: f.name, Bytes: size})
		f.disk.resize(f.node, size, min(f.node.reserved, pagesFor(size)))
	}
	if err != nil {
		return f.failed("truncate", err)
	}
	return nil
}

func (f *file) resizable(size int64) error {
	if err := f.writable(); err != nil {
		return err
	}
	if size < 0 || size > fileBytesMax {
		return fmt.Errorf("%w: size %d; a file has 0 to %d bytes", syscall.EINVAL, size, int64(fileBytesMax))
	}
	return nil
}

// resize applies a change of the size or the reserved space.
func (d *Disk) resize(node *inode, size, reserved int64) {
	if size == node.size && reserved == node.reserved {
		return
	}
	before := node.pages()
	d.sequence++
	node.resize(d.sequence, size, reserved)
	d.usedPages += node.pages() - before
}

// Size implements disk.File.
func (f *file) Size() (int64, error) {
	f.disk.mutex.Lock()
	defer f.disk.mutex.Unlock()
	if err := f.usable(); err != nil {
		return 0, f.failed("size", err)
	}
	return f.node.size, nil
}

// Close implements disk.File. It works on a crashed disk too.
func (f *file) Close() error {
	f.disk.mutex.Lock()
	defer f.disk.mutex.Unlock()
	if f.closed {
		return f.failed("close", fs.ErrClosed)
	}
	f.closed = true
	f.node.handles--
	f.disk.release(f.node)
	return nil
}

func (f *file) failed(action string, err error) error {
	return fmt.Errorf("%s %s: %w", action, f.name, err)
}
