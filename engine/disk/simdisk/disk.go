package simdisk

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"

	"github.com/apogeemq/apogee/engine/disk"
)

// ErrCrashed is what every operation returns after the power was cut or the
// process killed.
var ErrCrashed = errors.New("the simulated disk has lost power")

// Options describe the simulated device. The zero value is a disk of 1 TiB
// with blocks of 4096 bytes and atomic sectors.
type Options struct {
	// CapacityBytes is the size of the device; 0 means 1 TiB.
	CapacityBytes int64
	// BlockBytes is the unit of direct I/O, a power of two from 512; 0 means 4096.
	BlockBytes int
	// TornSectors lets a power cut leave a sector that is a mix of two versions.
	TornSectors bool
	// StaleBytes lets space that a lost write had allocated show bytes of
	// removed files instead of zeros.
	StaleBytes bool
}

const (
	defaultCapacityBytes = 1 << 40
	defaultBlockBytes    = 4096
)

// Disk is a simulated disk. It is safe for concurrent use; it is
// deterministic when one goroutine uses it.
type Disk struct {
	mutex   sync.Mutex
	seed    uint64
	origin  string // how this disk came to be, for Replay
	options Options

	now   namespace // what the process sees
	kept  namespace // what is durable
	edits []edit    // how to get from kept to now, in order

	nextInode uint64
	sequence  uint64 // of the last change of any file
	usedPages int64
	inFlight  []*operation
	locks     map[string]bool
	queues    uint64
	garbage   [][]byte // sectors of removed files, for StaleBytes

	down    chan struct{} // closed when the disk refuses everything
	crashed bool
	futures uint64 // crashes and kills derived from this disk
	steps   uint64
	cutAt   uint64 // the step that cuts the power; 0 for none
	trace   trace
}

var _ disk.Disk = (*Disk)(nil)

// New returns an empty disk with a root directory.
func New(seed uint64, o Options) *Disk {
	if o.CapacityBytes == 0 {
		o.CapacityBytes = defaultCapacityBytes
	}
	if o.BlockBytes == 0 {
		o.BlockBytes = defaultBlockBytes
	}
	if o.BlockBytes < SectorBytes || o.BlockBytes&(o.BlockBytes-1) != 0 {
		panic(fmt.Sprintf("BUG: BlockBytes is %d; it must be a power of two from %d", o.BlockBytes, SectorBytes))
	}
	d := blank(seed, o)
	d.origin = fmt.Sprintf("seed %d", seed)
	return d
}

func blank(seed uint64, o Options) *Disk {
	return &Disk{
		seed:    seed,
		options: o,
		now:     newNamespace(),
		kept:    newNamespace(),
		locks:   map[string]bool{},
		down:    make(chan struct{}),
	}
}

// draws returns the random numbers of one purpose.
func (d *Disk) draws(purpose, number uint64) *rand.Rand {
	return rand.New(rand.NewPCG(d.seed, purpose<<32+number))
}

// The purposes of random numbers.
const (
	drawQueue uint64 = iota + 1
	drawFuture
	drawSeed
)

// alive must be called with the mutex held.
func (d *Disk) alive() error {
	if d.crashed {
		return ErrCrashed
	}
	return nil
}

// Open implements disk.Disk.
func (d *Disk) Open(name string, mode disk.Mode) (disk.File, error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	node, err := d.open(name, mode)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	node.handles++
	return &file{disk: d, node: node, name: name, mode: mode}, nil
}

func (d *Disk) open(name string, mode disk.Mode) (*inode, error) {
	if err := d.alive(); err != nil {
		return nil, err
	}
	if err := checkName(name); err != nil {
		return nil, err
	}
	node := d.now.files[name]
	if mode != disk.Create && mode != disk.DirectCreate {
		switch {
		case d.now.directories[name]:
			return nil, errIsDirectory
		case node == nil:
			return nil, disk.ErrNotFound
		}
		return node, nil
	}
	if node != nil || d.now.directories[name] {
		return nil, disk.ErrExists
	}
	return d.create(name)
}

// create makes an empty file; the name is free.
func (d *Disk) create(name string) (*inode, error) {
	if !d.now.directories[parent(name)] {
		return nil, fmt.Errorf("directory %s: %w", parent(name), disk.ErrNotFound)
	}
	err := d.step(Operation{Kind: "create", Name: name})
	d.nextInode++
	node := newInode(d.nextInode)
	d.edit(edit{kind: editLink, name: name, node: node})
	return node, err
}

// List implements disk.Disk.
func (d *Disk) List(dir string) ([]string, error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if err := d.alive(); err != nil {
		return nil, fmt.Errorf("list %s: %w", dir, err)
	}
	if !d.now.directories[dir] {
		return nil, fmt.Errorf("list %s: %w", dir, disk.ErrNotFound)
	}
	return d.now.list(dir), nil
}

// MakeDir implements disk.Disk.
func (d *Disk) MakeDir(dir string) error {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if err := d.makeDir(dir); err != nil {
		return fmt.Errorf("make directory %s: %w", dir, err)
	}
	return nil
}

func (d *Disk) makeDir(dir string) error {
	if err := d.alive(); err != nil {
		return err
	}
	if d.now.directories[dir] {
		return nil
	}
	if err := checkName(dir); err != nil {
		return err
	}
	if d.now.files[dir] != nil {
		return disk.ErrExists
	}
	if err := d.makeDir(parent(dir)); err != nil {
		return err
	}
	err := d.step(Operation{Kind: "make directory", Name: dir})
	d.edit(edit{kind: editDirectory, name: dir})
	return err
}

// Rename implements disk.Disk. It renames files, not directories.
func (d *Disk) Rename(from, to string) error {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if err := d.rename(from, to); err != nil {
		return fmt.Errorf("rename %s to %s: %w", from, to, err)
	}
	return nil
}

func (d *Disk) rename(from, to string) error {
	if err := d.alive(); err != nil {
		return err
	}
	if err := checkName(to); err != nil {
		return err
	}
	node := d.now.files[from]
	switch {
	case d.now.directories[from] || d.now.directories[to]:
		return errIsDirectory
	case node == nil:
		return disk.ErrNotFound
	case !d.now.directories[parent(to)]:
		return fmt.Errorf("directory %s: %w", parent(to), disk.ErrNotFound)
	case from == to:
		return nil
	}
	err := d.step(Operation{Kind: "rename", Name: from, To: to})
	replaced := d.now.files[to]
	d.edit(edit{kind: editRename, name: from, to: to, node: node})
	if replaced != nil {
		d.unlink(replaced)
	}
	return err
}

// Remove implements disk.Disk.
func (d *Disk) Remove(name string) error {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if err := d.remove(name); err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	return nil
}

func (d *Disk) remove(name string) error {
	if err := d.alive(); err != nil {
		return err
	}
	node := d.now.files[name]
	switch {
	case d.now.directories[name]:
		return errIsDirectory
	case node == nil:
		return disk.ErrNotFound
	}
	err := d.step(Operation{Kind: "remove", Name: name})
	d.edit(edit{kind: editRemove, name: name, node: node})
	d.unlink(node)
	return err
}

// unlink notes that node lost its name.
func (d *Disk) unlink(node *inode) {
	node.linked = false
	if d.options.StaleBytes {
		d.keepGarbage(node)
	}
	d.release(node)
}

// release gives the space of node back once nobody can reach it.
func (d *Disk) release(node *inode) {
	if !node.reachable() {
		d.usedPages -= node.pages()
	}
}

// SyncDir implements disk.Disk.
func (d *Disk) SyncDir(dir string) error {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	err := d.alive()
	if err == nil && !d.now.directories[dir] {
		err = disk.ErrNotFound
	}
	if err == nil {
		err = d.step(Operation{Kind: "sync directory", Name: dir})
	}
	if err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	d.landEdits(dir)
	return nil
}

// FreeBytes implements disk.Disk.
func (d *Disk) FreeBytes() (int64, error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if err := d.alive(); err != nil {
		return 0, fmt.Errorf("free bytes: %w", err)
	}
	return d.freePages() * pageBytes, nil
}

func (d *Disk) freePages() int64 {
	return max(0, d.options.CapacityBytes/pageBytes-d.usedPages)
}

// Lock implements disk.Disk. The lock is a file, as on a real disk.
func (d *Disk) Lock(name string) (io.Closer, error) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.locks[name] && !d.crashed {
		return nil, fmt.Errorf("lock %s: %w", name, disk.ErrLocked)
	}
	mode := disk.ReadWrite
	if d.now.files[name] == nil {
		mode = disk.Create
	}
	if _, err := d.open(name, mode); err != nil {
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	d.locks[name] = true
	return &lock{disk: d, name: name}, nil
}

type lock struct {
	disk *Disk
	name string
	once sync.Once
}

func (l *lock) Close() error {
	l.once.Do(func() {
		l.disk.mutex.Lock()
		defer l.disk.mutex.Unlock()
		delete(l.disk.locks, l.name)
	})
	return nil
}

// BlockBytes implements disk.Disk.
func (d *Disk) BlockBytes() int { return d.options.BlockBytes }

// Path implements disk.Disk.
func (d *Disk) Path() string { return fmt.Sprintf("simulated:%d", d.seed) }

// Describe implements disk.Disk.
func (d *Disk) Describe() string { return "simulated disk, " + d.origin }
