package spool

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/replication"
)

const (
	// deliveredGroup has the marks of all streams.
	deliveredGroup = "delivered"
	// ownPrefix begins the names of streams that are the spool's own.
	ownPrefix      = "!"
	quarantineName = ownPrefix + "quarantine"
	resolvedName   = ownPrefix + "resolved"

	logFolder     = "log"
	waitingFolder = "waiting"

	segmentBytesUsual = 64 << 20
	waitingBytes      = 64 << 20
	waitTime          = 200 * time.Millisecond
	flushTime         = 1200 * time.Millisecond
	housekeeping      = time.Second
)

// segmentsMin is how many segments Options.BytesMax has room for at least.
const segmentsMin = 4

// BytesMin is the least that Options.BytesMax may be with segments of the usual
// size.
const BytesMin = segmentsMin * segmentBytesUsual

var errUnknown = errors.New("the disk has not answered in time: it may be stored")

// Options of a spool.
type Options struct {
	// Dir holds everything. It belongs to one process at a time.
	Dir string
	// BytesMax bounds the log: at least four segments.
	BytesMax int64
	// SegmentBytes is the size of the log's files, and the least that is freed
	// at once; 0 means 64 MiB.
	SegmentBytes int64
	// EntryBytesMax is the largest payload that must fit.
	EntryBytesMax int
	// Arrived is told that a stream has entries that can be read. It is called
	// on the log's goroutine and must not block. nil tells nobody.
	Arrived func(*Stream)
	Log     *slog.Logger // slog.Default() when nil
	// Fatal ends the process after a write or sync failed; it panics when nil.
	Fatal func(error)
}

// Spool is an open spool.
type Spool struct {
	options  Options
	single   *replication.Single
	engine   *engine.Engine
	recorder *recorder
	stop     chan struct{}
	working  sync.WaitGroup

	mu      sync.RWMutex
	streams map[event.Queue]*Stream
	names   map[string]event.TopicID
	nextID  event.TopicID

	quarantine quarantine
	blocker    *Stream // kept the oldest segment when it was looked at last

	waiting atomic.Int64 // entries of all streams
	stored  atomic.Uint64
	refused atomic.Uint64
	damaged atomic.Uint64
	room    atomic.Int64 // that admit may still give out; housekeeping sets it
}

// Open opens a spool, creating it where there is none. What is damaged is moved
// aside and what is whole of it taken over.
func Open(o Options) (*Spool, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.SegmentBytes == 0 {
		o.SegmentBytes = segmentBytesUsual
	}
	o.SegmentBytes = max(o.SegmentBytes, segmentBytes(o.EntryBytesMax+overheadBytes))
	if least := segmentsMin * o.SegmentBytes; o.BytesMax < least {
		return nil, fmt.Errorf("open spool %s: at most %d bytes are too few; use at least %d", o.Dir, o.BytesMax, least)
	}
	if err := finishRescue(o); err != nil {
		return nil, err
	}
	s, err := open(o)
	if err == nil || !errors.Is(err, engine.ErrCorrupt) && !errors.Is(err, event.ErrCorrupt) {
		return s, err
	}
	return rescue(o, err)
}

func open(o Options) (*Spool, error) {
	d, err := disk.Open(filepath.Join(o.Dir, logFolder))
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	s := &Spool{options: o, stop: make(chan struct{}), streams: make(map[event.Queue]*Stream), names: make(map[string]event.TopicID)}
	s.recorder = newRecorder(s)
	eventBytes := o.EntryBytesMax + overheadBytes
	s.single, _, err = replication.OpenSingle(replication.SingleOptions{
		Engine: engine.Options{
			Log: commitlog.Options{Disk: d, SegmentBytes: o.SegmentBytes, EventBytesMax: eventBytes,
				Clock: monotonicClock(), Log: o.Log, Fatal: o.Fatal},
			WaitingFS: vfs.Default, WaitingDir: filepath.Join(o.Dir, waitingFolder),
		},
		Proposer: replication.ProposerOptions{WaitingBytes: waitingBytes, WaitTime: waitTime, FlushTimeout: flushTime,
			Now: func() int64 { return time.Now().UnixMilli() }},
	})
	if err != nil {
		return nil, fmt.Errorf("open spool: %w", err)
	}
	s.engine = s.single.Engine()
	if err := s.recover(); err != nil {
		return nil, errors.Join(fmt.Errorf("open spool: %w", err), s.single.Close())
	}
	s.begin()
	return s, nil
}

// segmentBytes is the smallest good segment for events of a size.
func segmentBytes(eventBytes int) int64 {
	const unit = 1 << 20
	return (commitlog.SegmentBytesMin(eventBytes) + unit - 1) / unit * unit
}

func monotonicClock() func() int64 {
	start := time.Now()
	return func() int64 { return int64(time.Since(start)) }
}

// recover finds out what waits.
func (s *Spool) recover() error {
	for _, t := range s.engine.Topics().All() {
		s.names[t.Config.Name] = t.ID
	}
	s.nextID = s.engine.Topics().NextID()
	for _, q := range s.engine.Queues() {
		t, found := s.engine.Topics().ByID(q.Topic)
		if !found {
			continue
		}
		first, next := s.engine.Bounds(q)
		commit, _ := s.engine.Offsets().Get(deliveredGroup, q)
		st := &Stream{spool: s, name: t.Config.Name, queue: q, next: next}
		st.done = max(first, commit.Offset)
		st.recorded = st.done
		st.answered.Store(int64(next))
		st.waiting.Store(int64(next - st.done))
		st.bytes.Store(s.sizeOf(q, st.done, next))
		s.waiting.Add(st.Waiting())
		s.streams[q] = st
	}
	return s.recoverQuarantine()
}

func (s *Spool) begin() {
	s.look()
	s.engine.OnApplied(s.applied)
	s.working.Add(2)
	go func() {
		defer s.working.Done()
		s.recorder.run(s.stop)
	}()
	go func() {
		defer s.working.Done()
		s.keepHouse()
	}()
}

// applied tells the owner which streams have entries to read.
func (s *Spool) applied(queues []event.Queue) {
	if s.options.Arrived == nil {
		return
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	for i, q := range queues {
		if i > 0 && q == queues[i-1] {
			continue
		}
		if st := s.streams[q]; st != nil && !isOwn(st.name) {
			s.options.Arrived(st)
		}
	}
}

func isOwn(name string) bool { return strings.HasPrefix(name, ownPrefix) }

// Stream finds a stream, or makes it. The name has 1 to NameBytesMax bytes and
// doesn't begin with an exclamation mark.
func (s *Spool) Stream(name string, lane uint32) (*Stream, error) {
	if name == "" || len(name) > NameBytesMax || isOwn(name) {
		return nil, fmt.Errorf("spool: the name %.100q of a stream is not allowed: use 1 to %d bytes, the first no %q", name, NameBytesMax, ownPrefix)
	}
	return s.stream(name, lane)
}

func (s *Spool) stream(name string, lane uint32) (*Stream, error) {
	s.mu.RLock()
	st := s.streams[event.Queue{Topic: s.names[name], ID: lane}]
	s.mu.RUnlock()
	if st != nil {
		return st, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	id, known := s.names[name]
	if !known {
		// Nothing waits for it: the log has it before the first entry.
		id = s.nextID
		c := event.TopicConfig{Name: name}
		if err := c.Validate(); err != nil {
			return nil, err
		}
		draft := event.Draft{Kind: event.KindTopic, Topic: id, Payload: event.Bytes(event.AppendTopicConfig(nil, c))}
		if err := s.single.Propose(&engine.Proposal{Drafts: []event.Draft{draft}, Completion: ignored{}}); err != nil {
			return nil, err
		}
		s.nextID++
		s.names[name] = id
	}
	q := event.Queue{Topic: id, ID: lane}
	st = s.streams[q]
	if st == nil {
		st = &Stream{spool: s, name: name, queue: q}
		s.streams[q] = st
	}
	return st, nil
}

// Known finds a stream that exists, nil for none. It doesn't keep the name and
// doesn't allocate.
func (s *Spool) Known(name []byte, lane uint32) *Stream {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.streams[event.Queue{Topic: s.names[string(name)], ID: lane}]
}

// Waiting counts what waits in all streams, the quarantine included. It costs
// one load.
func (s *Spool) Waiting() int64 { return s.waiting.Load() }

// ignored is a Completion that nobody waits for.
type ignored struct{}

// Complete implements engine.Completion.
func (ignored) Complete(*engine.Proposal) {}

// Streams are all streams with entries that wait.
func (s *Spool) Streams() []*Stream {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var all []*Stream
	for _, st := range s.streams {
		if st.Waiting() > 0 && !isOwn(st.name) {
			all = append(all, st)
		}
	}
	return all
}

// Find visits entries that carry the hash of a key and wait, newest first,
// until visit returns false.
func (s *Spool) Find(hash uint64, visit func(Item) bool) error {
	end := s.engine.Marks().AppliedPosition
	return s.engine.FindHash(hash, 0, end, func(m engine.Message) (bool, error) {
		item, ok := s.waits(m)
		return !ok || visit(item), nil
	})
}

// At visits the entry at a position, if it waits; engine.ErrNotFound otherwise.
func (s *Spool) At(position event.Position, visit func(Item)) error {
	found := false
	err := s.engine.ReadAt(position, func(m engine.Message) error {
		item, ok := s.waits(m)
		if found = ok; ok {
			visit(item)
		}
		return nil
	})
	if err == nil && !found {
		err = fmt.Errorf("entry at %d: %w; it was delivered", position, engine.ErrNotFound)
	}
	return err
}

// waits reads an event that is an entry and not done.
func (s *Spool) waits(m engine.Message) (Item, bool) {
	if m.Event.Kind() != event.KindMessage {
		return Item{}, false
	}
	item, err := itemOf(m)
	if err != nil || isOwn(item.Name) {
		return Item{}, false
	}
	s.mu.RLock()
	st := s.streams[m.Event.Queue()]
	s.mu.RUnlock()
	return item, st != nil && item.Offset >= st.First()
}

// Close makes everything durable and closes the log. Nobody may put or read
// any more.
func (s *Spool) Close() error {
	close(s.stop)
	s.working.Wait()
	return s.single.Close()
}

// Await returns when everything that was put so far can be read.
func (s *Spool) Await(ctx context.Context) error {
	if err := s.propose(engine.WaitCommitted, commitDraft(nil)); err != nil {
		return err
	}
	_, _, end := s.engine.Log().End()
	return s.engine.WaitApplied(ctx, end-1)
}

// Stats are counters and sizes of a spool.
type Stats struct {
	Entries, Bytes  int64 // that wait
	Oldest          int64 // when the oldest of them was stored, Unix milliseconds; 0 for none
	Streams         int   // with entries that wait
	Quarantined     int
	Stored, Refused uint64 // entries since the start
	Damaged         uint64 // entries that couldn't be read, since the start
	LogBytes        int64  // of BytesMax
	Folders         int    // moved aside
}

// Stats looks at everything.
func (s *Spool) Stats() Stats {
	st := Stats{Stored: s.stored.Load(), Refused: s.refused.Load(), Damaged: s.damaged.Load(), LogBytes: s.used(), Quarantined: s.quarantine.size()}
	for _, stream := range s.Streams() {
		st.Streams++
		st.Entries += stream.Waiting()
		st.Bytes += stream.Bytes()
		if at := stream.oldest(); at > 0 && (st.Oldest == 0 || at < st.Oldest) {
			st.Oldest = at
		}
	}
	st.Folders = len(damagedFolders(s.options.Dir))
	return st
}

// oldest is when the first entry was stored, 0 where it can't be told.
func (s *Stream) oldest() (at int64) {
	_, _ = s.Read(s.First(), engine.ReadLimits{Count: 1, Bytes: 1, Scan: 1}, func(i Item) error {
		at = i.Timestamp
		return nil
	})
	return at
}

func damagedFolders(dir string) []string {
	all, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var names []string
	for _, f := range all {
		if strings.HasPrefix(f.Name(), damagedPrefix) {
			names = append(names, f.Name())
		}
	}
	return names
}
