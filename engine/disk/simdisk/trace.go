package simdisk

import (
	"fmt"
	"strings"
)

// Operation is one step that changed the disk.
type Operation struct {
	// Step counts from 1.
	Step uint64
	// Kind is what happened, for people.
	Kind string
	// Name is the file or directory, as it was called when it was opened.
	Name string
	// To is the new name of a renamed file.
	To string
	// At and Bytes are the range of a write; Bytes is the size for the kinds
	// that set one.
	At, Bytes int64
}

// String is one line without its end.
func (o Operation) String() string {
	text := fmt.Sprintf("#%d %s %s", o.Step, o.Kind, o.Name)
	switch {
	case o.To != "":
		text += " to " + o.To
	case o.At != 0 || o.Bytes != 0:
		text += fmt.Sprintf(" [%d, %d)", o.At, o.At+o.Bytes)
	}
	return text
}

const traceOperations = 256

// trace keeps the last operations.
type trace struct {
	ring []Operation
	next int
}

func (t *trace) add(o Operation) {
	if len(t.ring) < traceOperations {
		t.ring = append(t.ring, o)
		return
	}
	t.ring[t.next] = o
	t.next = (t.next + 1) % traceOperations
}

func (t *trace) list() []Operation {
	return append(append([]Operation(nil), t.ring[t.next:]...), t.ring[:t.next]...)
}

// step counts one step. If the power goes in this very step it returns
// ErrCrashed; the caller then leaves the change pending, so that chance
// decides about it. The mutex is held.
func (d *Disk) step(o Operation) error {
	d.steps++
	o.Step = d.steps
	d.trace.add(o)
	if d.steps != d.cutAt {
		return nil
	}
	d.stop()
	return ErrCrashed
}

// stop makes the disk refuse everything from now on.
func (d *Disk) stop() {
	if !d.crashed {
		d.crashed = true
		close(d.down)
	}
}

// CrashAfter turns the power off in the n-th step from now: 1 is the next one.
// That step is interrupted, and everything after it fails with ErrCrashed. 0
// takes the order back.
func (d *Disk) CrashAfter(n uint64) {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.cutAt = 0
	if n > 0 {
		d.cutAt = d.steps + n
	}
}

// Steps is the number of steps so far.
func (d *Disk) Steps() uint64 {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.steps
}

// Crashed reports whether the disk refuses everything.
func (d *Disk) Crashed() bool {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.crashed
}

// Trace returns the last steps, 256 at most, oldest first.
func (d *Disk) Trace() []Operation {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.trace.list()
}

// Replay says in lines of text how the disk got where it is: for the message
// of a test that fails.
func (d *Disk) Replay() string {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "simulated disk: %s; %d steps since\n", d.origin, d.steps)
	for _, o := range d.trace.list() {
		fmt.Fprintf(&b, "\t%v\n", o)
	}
	return b.String()
}
