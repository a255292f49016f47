package log

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/replication"
)

// store is what producers store into. Each producer calls put for itself.
type store interface {
	// put stores one message and returns when it is stored.
	put(producer int) error
	operations() Operations
	close() error
}

const (
	queues       = 8
	waitingBytes = 64 << 20
	patience     = time.Minute // more than any message should wait
)

// engineStore is a single node in a folder of its own.
type engineStore struct {
	dir       string
	pool      *pool
	node      *replication.Single
	counter   counter
	producers []proposer
}

// proposer is one producer's proposal, used again and again.
type proposer struct {
	proposal engine.Proposal
	done     chan struct{}
}

// Complete implements engine.Completion.
func (p *proposer) Complete(*engine.Proposal) { p.done <- struct{}{} }

// openDisk opens a folder with one of the engine's I/O paths.
func openDisk(dir, contender string) (disk.Disk, error) {
	if contender == posix {
		return disk.OpenPosix(dir)
	}
	d, err := disk.Open(dir)
	if err != nil {
		return nil, err
	}
	if !strings.HasPrefix(d.Describe(), ring) {
		return nil, fmt.Errorf("bench log: io_uring is not in use here: %s; leave it out with --engines %s", d.Describe(), posix)
	}
	return d, nil
}

// openEngine makes a new log. Its segments come from the pool, if there is one
// and as long as it has some.
func openEngine(o *Options, contender string, c Cell) (store, error) {
	dir, err := os.MkdirTemp(o.Dir, "bench-log-")
	if err != nil {
		return nil, fmt.Errorf("bench log: make a folder: %w", err)
	}
	s := &engineStore{dir: dir, pool: o.pool, producers: make([]proposer, c.Depth)}
	if err := s.open(o, contender, c); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

func (s *engineStore) open(o *Options, contender string, c Cell) error {
	d, err := openDisk(s.dir, contender)
	if err != nil {
		return err
	}
	mark := engine.CommitDurable
	if c.Mode == Async {
		mark = engine.CommitWritten
	}
	s.node, _, err = replication.OpenSingle(replication.SingleOptions{
		Address: "127.0.0.1:10911",
		Engine: engine.Options{CommitAt: mark, Log: commitlog.Options{
			Disk: countingDisk{d, &s.counter, s.pool}, SegmentBytes: o.SegmentBytes, HistoryBytes: 1 << 20}},
		Proposer: replication.ProposerOptions{
			WaitingBytes: max(waitingBytes, 2*c.Size), WaitTime: patience, FlushTimeout: patience,
			Now: func() int64 { return time.Now().UnixMilli() },
		},
	})
	if err != nil {
		return err
	}
	body := event.Bytes(text(c.Size))
	for i := range s.producers {
		p := &s.producers[i]
		p.done = make(chan struct{}, 1)
		p.proposal = engine.Proposal{Completion: p, Drafts: []event.Draft{{
			Kind: event.KindMessage, Stream: event.StreamQueue, Topic: 1, Queue: uint32(i % queues), Payload: body}}}
	}
	return nil
}

// text is n bytes that don't compress, the same in every run.
func text(n int) []byte {
	random := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(random.Uint32())
	}
	return b
}

func (s *engineStore) put(producer int) error {
	p := &s.producers[producer]
	if err := s.node.Propose(&p.proposal); err != nil {
		return err
	}
	<-p.done
	if p.proposal.Outcome != engine.OutcomeCommitted {
		return fmt.Errorf("bench log: a message waited longer than %v", patience)
	}
	return nil
}

func (s *engineStore) operations() Operations { return s.counter.read() }

func (s *engineStore) close() error {
	return errors.Join(s.node.Close(), s.pool.takeAllBack(), os.RemoveAll(s.dir))
}
