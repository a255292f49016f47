package clustertest

import (
	"fmt"
	"sync"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
)

// ledger knows every frame that was ever applied by any node.
type ledger struct {
	mu       sync.Mutex
	frames   map[event.Index]committed
	last     event.Index
	commands map[uint64]chan struct{} // by number; closed when applied
	broken   error                    // the first contradiction
}

type committed struct {
	crc      uint32 // the header's, which covers all that replicas share, and the chain
	position event.Position
	state    uint64 // digest of the state after it
	node     string // that applied it first
}

func newLedger() *ledger {
	return &ledger{frames: map[event.Index]committed{}, commands: map[uint64]chan struct{}{}}
}

// applied takes in that a node has applied a frame.
func (l *ledger) applied(node string, f *commitlog.Frame, state uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	got := committed{crc: f.CRC, position: f.Position, state: state, node: node}
	want, known := l.frames[f.Index]
	if !known {
		l.frames[f.Index] = got
		l.last = max(l.last, f.Index)
		return
	}
	if got.crc != want.crc || got.position != want.position || got.state != want.state {
		l.breakLocked(fmt.Errorf("frame %d of term %d was applied by %s as %+v, by %s as %+v", f.Index, f.Term, want.node, want, node, got))
	}
}

func (l *ledger) breakLocked(err error) {
	if l.broken == nil {
		l.broken = err
	}
}

// fail notes a contradiction.
func (l *ledger) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.breakLocked(err)
}

func (l *ledger) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.broken
}

// expect returns a channel that is closed when the command is applied.
func (l *ledger) expect(number uint64) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := make(chan struct{})
	l.commands[number] = c
	return c
}

// seen takes in that a command was applied.
func (l *ledger) seen(number uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.commands[number]; c != nil {
		close(c)
		l.commands[number] = nil
	}
}

func (l *ledger) lastIndex() event.Index {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// compare checks a frame of a node's log against what was committed there.
func (l *ledger) compare(node string, f *commitlog.Frame) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	want, known := l.frames[f.Index]
	if known && (want.crc != f.CRC || want.position != f.Position) {
		return fmt.Errorf("%s has frame %d of term %d at position %d with checksum %08x; %s applied one at %d with %08x",
			node, f.Index, f.Term, f.Position, f.CRC, want.node, want.position, want.crc)
	}
	return nil
}
