package local

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/tools/outbox"
	"github.com/apogeemq/apogee/tools/outbox/spool"
)

// Options of a spool.
type Options struct {
	// Dir holds everything. It belongs to one process at a time.
	Dir string
	// BytesMax bounds the disk space, at least 128 MiB; 0 takes 1 GiB.
	BytesMax int64
	// Logger gets what an operator should know; nil takes slog's default.
	Logger *slog.Logger
	// Fatal ends the process after a write or a sync failed. It panics when nil.
	Fatal func(error)
}

const (
	bytesMaxDefault = 1 << 30
	segments        = 8 // that a small BytesMax is cut into
	segmentBytesMax = 64 << 20
)

// Spool is an outbox.Spool on the disk. Close ends it; its outbox must have
// been closed before.
type Spool struct {
	logger *slog.Logger
	spool  *spool.Spool

	mu      sync.Mutex // never held while anything waits
	queues  map[place]*queue
	ready   []*queue        // that may have an entry to take, or to read
	taken   map[uint64]item // by their entries' numbers
	bytes   int             // of all messages that were read and are not done
	changed chan struct{}   // closed when ready gets longer
}

// place is a stream of the log.
type place struct {
	name string
	lane uint32
}

// lanes is how many streams of the log a topic's sharding keys share.
const lanes = 32

// placeOf is where a message belongs. Topics have none of the separators.
func placeOf(m *outbox.Message) place {
	switch {
	case m.ShardingKey != "":
		return place{m.Topic + "/", uint32(spool.Hash([]byte(m.ShardingKey)) % lanes)}
	case m.Queue != nil:
		return place{m.Topic + "@" + m.Queue.Broker + ":" + strconv.Itoa(m.Queue.ID), 0}
	}
	return place{m.Topic, 0}
}

// Open opens the spool in a folder, creating it where there is none. What is
// damaged is moved aside and what is whole of it taken over.
func Open(o Options) (*Spool, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.BytesMax == 0 {
		o.BytesMax = bytesMaxDefault
	}
	s := &Spool{logger: o.Logger, queues: map[place]*queue{}, taken: map[uint64]item{}, changed: make(chan struct{})}
	opened, err := spool.Open(spool.Options{Dir: o.Dir, BytesMax: o.BytesMax, SegmentBytes: min(o.BytesMax/segments, segmentBytesMax),
		EntryBytesMax: payloadBytesMax, Arrived: s.arrived, Log: o.Logger, Fatal: o.Fatal})
	if err != nil {
		return nil, fmt.Errorf("open the outbox's spool: %w", err)
	}
	s.spool = opened
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, stream := range opened.Streams() {
		q := s.queueLocked(place{stream.Name(), stream.Lane()})
		q.beginLocked(stream)
		q.held, q.unread = stream.Waiting(), true
		s.readyLocked(q)
	}
	return s, nil
}

// Close makes everything durable and closes the log.
func (s *Spool) Close() error { return s.spool.Close() }

// queueLocked finds what is known about a stream.
func (s *Spool) queueLocked(p place) *queue {
	q := s.queues[p]
	if q == nil {
		q = &queue{spool: s}
		s.queues[p] = q
	}
	return q
}

// hold counts entries that come into a stream, or don't after all.
func (s *Spool) hold(p place, n int64) *queue {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queueLocked(p)
	q.held += n
	return q
}

// Append implements outbox.Spool. An error of class outbox.ErrInDoubt says that
// the disk has not confirmed the message in time: it may be sent later.
func (s *Spool) Append(m *outbox.Message, inDoubt bool) error {
	payload, err := encode(m)
	if err != nil {
		return err
	}
	p := placeOf(m)
	s.hold(p, 1)
	stream, err := s.spool.Stream(p.name, p.lane)
	if err != nil {
		s.hold(p, -1)
		return err
	}
	stored := make(chan struct{})
	e := &spool.Entry{Stream: stream, Payload: event.Bytes(payload), Keys: []uint64{spool.Hash([]byte(m.ID))}, Doubt: inDoubt,
		Stored: func(*spool.Entry) { close(stored) }}
	if err := s.spool.Put(e); err != nil {
		s.hold(p, -1)
		if errors.Is(err, spool.ErrFull) {
			err = fmt.Errorf("%w: %w", outbox.ErrFull, err)
		}
		return err
	}
	<-stored
	stream.Answered(e.Offset)
	if e.Outcome != engine.OutcomeCommitted {
		return fmt.Errorf("%w: the disk has not confirmed the message in time", outbox.ErrInDoubt)
	}
	return nil
}

// Holds implements outbox.Spool.
func (s *Spool) Holds(m *outbox.Message) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[placeOf(m)]
	return q != nil && q.held > 0
}

// Stats implements outbox.Spool.
func (s *Spool) Stats() outbox.SpoolStats {
	st := s.spool.Stats()
	stats := outbox.SpoolStats{Bytes: st.LogBytes, Quarantined: int64(st.Quarantined)}
	s.mu.Lock()
	for _, q := range s.queues {
		if q.held > 0 {
			stats.Streams++
			stats.Entries += q.held
		}
	}
	s.mu.Unlock()
	if stats.Entries > 0 && st.Oldest > 0 {
		stats.Oldest = time.UnixMilli(st.Oldest)
	}
	return stats
}
