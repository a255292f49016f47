package replication

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
)

// SingleOptions open a node that is its own group.
type SingleOptions struct {
	Engine   engine.Options
	Proposer ProposerOptions
	// Address at which other nodes would reach this one; it stands in the
	// first Raft configuration.
	Address string
}

// Single is a group of one node: what it has written, or synced, is committed.
type Single struct {
	*Proposer
	engine *engine.Engine
	stop   chan struct{}
	done   chan struct{}

	telling sync.WaitGroup
}

// firstTerm is the term of a log that no election has happened in.
const firstTerm event.Term = 1

// lateCheck is how often proposals are checked for a late flush.
const lateCheck = 50 * time.Millisecond

// drainTime bounds how long Close waits for the disk.
const drainTime = 30 * time.Second

// OpenSingle opens the engine and its proposer. A log that was in a group is
// opened only where that group has come down to this node, else ErrInGroup; what
// the node then proposes is of a new term.
func OpenSingle(o SingleOptions) (*Single, commitlog.Recovery, error) {
	creation, err := newCreation(o.Address, o.Proposer.Now())
	if err != nil {
		return nil, commitlog.Recovery{}, err
	}
	p := newProposer(o.Proposer)
	t := takeover{disk: o.Engine.Log.Disk}
	o.Engine.Admit = t.admit
	o.Engine.Log.Create = creation
	o.Engine.Source = p.source
	o.Engine.OnMarks = func(m commitlog.Marks) { p.written(m.Written) }
	o.Engine.OnCommitted = p.committed
	e, recovery, err := engine.Open(o.Engine)
	if err != nil {
		return nil, recovery, err
	}
	p.attach(e, t.term)
	s := &Single{Proposer: p, engine: e, stop: make(chan struct{}), done: make(chan struct{})}
	go s.watch()
	if loss, lost := e.Log().Loss(); lost {
		s.telling.Go(func() { s.endLoss(loss) })
	}
	return s, recovery, nil
}

// newCreation makes the identity and the first frame of a new log.
func newCreation(address string, now int64) (commitlog.Creation, error) {
	c := commitlog.Creation{Timestamp: now}
	for _, id := range [][]byte{c.Meta.Log[:], c.Meta.Group[:], c.Meta.Node[:]} {
		if _, err := rand.Read(id); err != nil {
			return c, err
		}
	}
	c.Configuration = FirstConfiguration(c.Meta.Node, address)
	return c, nil
}

// FirstConfiguration encodes the Raft configuration that names a node as the
// only voter, as hashicorp/raft reads it from a log.
func FirstConfiguration(node [16]byte, address string) []byte {
	return raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{{
		Suffrage: raft.Voter, ID: raft.ServerID(hex.EncodeToString(node[:])), Address: raft.ServerAddress(address),
	}}})
}

// Engine of the node.
func (s *Single) Engine() *engine.Engine { return s.engine }

// watch completes what the disk keeps waiting.
func (s *Single) watch() {
	defer close(s.done)
	t := time.NewTicker(lateCheck)
	defer t.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-t.C:
			s.expire()
		}
	}
}

// endLoss says in the log that events may be missing. It has nobody to get them
// from.
func (s *Single) endLoss(loss commitlog.Loss) {
	if !s.tellLoss(loss, s.stop) {
		return // the next start does it
	}
	_ = s.engine.Log().EndLoss() // else the next start tells it once more
}

// Close refuses further proposals, waits until the accepted ones are complete
// and closes the engine.
func (s *Single) Close() error {
	timer := time.NewTimer(drainTime)
	defer timer.Stop()
	err := s.drain(timer.C)
	close(s.stop)
	<-s.done
	s.telling.Wait()
	return errors.Join(err, s.engine.Close())
}
