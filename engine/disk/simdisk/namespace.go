package simdisk

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sort"
)

var errIsDirectory = errors.New("is a directory; only files can be opened, renamed and removed")

// namespace is a directory tree by full name.
type namespace struct {
	files       map[string]*inode
	directories map[string]bool
}

func newNamespace() namespace {
	return namespace{files: map[string]*inode{}, directories: map[string]bool{".": true}}
}

func (s *namespace) list(dir string) []string {
	names := []string{}
	for name := range s.files {
		if parent(name) == dir {
			names = append(names, path.Base(name))
		}
	}
	sort.Strings(names)
	return names
}

// prune drops what stands in directories that don't exist.
func (s *namespace) prune() {
	for dir := range s.directories {
		for up := dir; up != "."; up = parent(up) {
			if !s.directories[up] {
				delete(s.directories, dir)
				break
			}
		}
	}
	for name := range s.files {
		if !s.directories[parent(name)] {
			delete(s.files, name)
		}
	}
}

type editKind uint8

const (
	editLink editKind = iota
	editDirectory
	editRename
	editRemove
)

// edit is one atomic change of names.
type edit struct {
	kind     editKind
	name, to string
	node     *inode // nil for a directory
}

// apply changes s.
func (e *edit) apply(s *namespace) {
	switch e.kind {
	case editLink:
		s.files[e.name] = e.node
	case editDirectory:
		s.directories[e.name] = true
	case editRename:
		delete(s.files, e.name)
		s.files[e.to] = e.node
	case editRemove:
		delete(s.files, e.name)
	}
}

// in reports whether e changes directory dir.
func (e *edit) in(dir string) bool {
	return parent(e.name) == dir || e.kind == editRename && parent(e.to) == dir
}

// edit changes what the process sees.
func (d *Disk) edit(e edit) {
	e.apply(&d.now)
	d.edits = append(d.edits, e)
}

// entangled is a set of names and files. Edits that share one keep their order.
type entangled struct {
	names map[string]bool
	nodes map[*inode]bool
}

func newEntangled() entangled {
	return entangled{names: map[string]bool{}, nodes: map[*inode]bool{}}
}

func (s *entangled) touches(e *edit) bool {
	return s.names[e.name] || e.to != "" && s.names[e.to] || e.node != nil && s.nodes[e.node]
}

func (s *entangled) add(e *edit) {
	s.names[e.name] = true
	if e.to != "" {
		s.names[e.to] = true
	}
	if e.node != nil {
		s.nodes[e.node] = true
	}
}

// landEdits makes the edits in dir durable, with the earlier ones they need.
func (d *Disk) landEdits(dir string) {
	needed := newEntangled()
	lands := make([]bool, len(d.edits))
	for i := len(d.edits) - 1; i >= 0; i-- {
		e := &d.edits[i]
		if e.in(dir) || needed.touches(e) {
			lands[i] = true
			needed.add(e)
		}
	}
	d.settleEdits(func(i int, _ *edit) bool { return lands[i] })
}

// settleEdits applies the edits that land to the durable names, in order, and
// keeps the others.
func (d *Disk) settleEdits(lands func(int, *edit) bool) {
	left := make([]edit, 0, len(d.edits))
	for i := range d.edits {
		if lands(i, &d.edits[i]) {
			d.edits[i].apply(&d.kept)
		} else {
			left = append(left, d.edits[i])
		}
	}
	d.edits = left
}

func parent(name string) string { return path.Dir(name) }

func checkName(name string) error {
	if !fs.ValidPath(name) || name == "." {
		return fmt.Errorf("name %q: %w: want a relative path without empty parts and dots alone", name, fs.ErrInvalid)
	}
	return nil
}
