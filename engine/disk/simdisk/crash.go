package simdisk

import (
	"fmt"
	"math/rand/v2"
	"sort"
	"syscall"
)

// Crash cuts the power and returns the disk as it is found when the power is
// back. The old disk refuses everything from then on, and is frozen: every
// further call returns another disk that the cut may have left.
func (d *Disk) Crash() *Disk { return d.future("power cut", (*Disk).losePower) }

// Kill ends the process and returns the disk for the next one: all completed
// operations stand but are no more durable than before, locks are free, and
// chance decides about the operations in flight. The old disk refuses
// everything from then on.
func (d *Disk) Kill() *Disk { return d.future("process killed", (*Disk).loseProcess) }

// Clone returns a copy of the disk with what it sees and what it may lose, but
// without handles, queues and locks. Operations in flight never complete in
// the copy; they matter if it crashes.
func (d *Disk) Clone() *Disk {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.clone("cloned")
}

func (d *Disk) future(how string, lose func(*Disk, *rand.Rand)) *Disk {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.stop()
	next := d.clone(how)
	lose(next, next.draws(drawFuture, 0))
	next.inFlight = nil
	next.recount()
	return next
}

// recount finds out who has a name and how much space is in use.
func (d *Disk) recount() {
	for _, node := range d.nodes() {
		node.linked = false
	}
	d.usedPages = 0
	for _, node := range d.now.files {
		node.linked = true
		d.usedPages += node.pages()
	}
}

// clone copies the disk under a seed of its own.
func (d *Disk) clone(how string) *Disk {
	d.futures++
	next := blank(d.draws(drawSeed, d.futures).Uint64(), d.options)
	next.origin = fmt.Sprintf("%s, %s (number %d) after step %d", d.origin, how, d.futures, d.steps)
	next.nextInode, next.sequence = d.nextInode, d.sequence
	next.garbage = append([][]byte(nil), d.garbage...)
	copies := map[*inode]*inode{nil: nil}
	for _, node := range d.nodes() {
		copies[node] = node.clone()
	}
	copyNamespace(&next.now, &d.now, copies)
	copyNamespace(&next.kept, &d.kept, copies)
	for _, e := range d.edits {
		e.node = copies[e.node]
		next.edits = append(next.edits, e)
	}
	for _, o := range d.inFlight {
		handle := &file{disk: next, node: copies[o.file.node], name: o.file.name, mode: o.file.mode}
		next.inFlight = append(next.inFlight, &operation{kind: o.kind, file: handle, at: o.at, data: o.data})
	}
	next.recount()
	return next
}

func copyNamespace(to, from *namespace, copies map[*inode]*inode) {
	for name, node := range from.files {
		to.files[name] = copies[node]
	}
	for dir := range from.directories {
		to.directories[dir] = true
	}
}

// nodes returns every file that can still matter, in order of creation.
func (d *Disk) nodes() []*inode {
	seen := map[*inode]bool{nil: true}
	var all []*inode
	add := func(node *inode) {
		if !seen[node] {
			seen[node] = true
			all = append(all, node)
		}
	}
	for _, node := range d.now.files {
		add(node)
	}
	for _, node := range d.kept.files {
		add(node)
	}
	for _, e := range d.edits {
		add(e.node)
	}
	for _, o := range d.inFlight {
		add(o.file.node)
	}
	sort.Slice(all, func(i, j int) bool { return all[i].number < all[j].number })
	return all
}

// losePower leaves what is durable and whatever of the rest chance grants.
func (d *Disk) losePower(draws *rand.Rand) {
	draws.Shuffle(len(d.inFlight), func(i, j int) { d.inFlight[i], d.inFlight[j] = d.inFlight[j], d.inFlight[i] })
	for _, o := range d.inFlight {
		d.write(o.file.node, o.data, o.at)
	}
	d.loseNames(draws)
	for _, node := range d.nodes() {
		f := fate{draws: draws, torn: d.options.TornSectors, garbage: d.garbage}
		node.losePower(&f)
	}
}

// loseNames decides about each edit that isn't durable. An edit that got lost
// takes later ones with it that build on it.
func (d *Disk) loseNames(draws *rand.Rand) {
	landsOf8 := [...]int{0, 8, 4, 7, 1}[draws.IntN(5)]
	lost := newEntangled()
	d.settleEdits(func(_ int, e *edit) bool {
		if !lost.touches(e) && draws.IntN(8) < landsOf8 {
			return true
		}
		lost.add(e)
		return false
	})
	d.edits = nil
	d.kept.prune()
	d.now = newNamespace()
	same := map[*inode]*inode{}
	for _, node := range d.kept.files {
		same[node] = node
	}
	copyNamespace(&d.now, &d.kept, same)
}

// loseProcess lets the writes in flight land, vanish or land in part.
func (d *Disk) loseProcess(draws *rand.Rand) {
	draws.Shuffle(len(d.inFlight), func(i, j int) { d.inFlight[i], d.inFlight[j] = d.inFlight[j], d.inFlight[i] })
	for i, o := range d.inFlight {
		lands := newProfile(draws, len(d.inFlight)).of256(i, draws)
		for at := int64(0); at < int64(len(o.data)); {
			length := min(SectorBytes-(o.at+at)%SectorBytes, int64(len(o.data))-at)
			if draws.IntN(256) < lands {
				d.write(o.file.node, o.data[at:at+length], o.at+at)
			}
			at += length
		}
	}
}

// keepGarbage remembers some sectors of a file that goes away.
func (d *Disk) keepGarbage(node *inode) {
	const sectorsPerFile, sectorsMax = 16, 64
	for at := int64(0); at < min(node.size, sectorsPerFile*SectorBytes); at += SectorBytes {
		sector := make([]byte, SectorBytes)
		node.current.readAt(sector, at)
		d.garbage = append(d.garbage, sector)
	}
	if extra := len(d.garbage) - sectorsMax; extra > 0 {
		d.garbage = append([][]byte(nil), d.garbage[extra:]...)
	}
}

// FailReads makes every read that touches bytes [from, to) of the file fail
// with EIO, like a damaged place of the medium: it stays with the file when
// that is renamed, and through power cuts.
func (d *Disk) FailReads(name string, from, to int64) error {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	node := d.now.files[name]
	if node == nil {
		return fmt.Errorf("fail reads of %s: %w", name, syscall.ENOENT)
	}
	node.failing = append(node.failing, span{from, to})
	return nil
}

// HealReads ends what FailReads began.
func (d *Disk) HealReads(name string) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if node := d.now.files[name]; node != nil {
		node.failing = nil
	}
}

// SetCapacity changes the size of the device: less than what is in use means
// that it is full.
func (d *Disk) SetCapacity(bytes int64) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.options.CapacityBytes = bytes
}
