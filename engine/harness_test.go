package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
)

// testOptions make segments, runs and caches so small that a few hundred
// events cross them all.
func testOptions(d disk.Disk, seed uint64) Options {
	return Options{
		Log: commitlog.Options{
			Disk: d, SegmentBytes: 256 << 10, TailBytes: 128 << 10, HistoryBytes: 4 << 20,
			Create: commitlog.Creation{Meta: commitlog.Meta{Log: event.LogID{byte(seed), 3}}, Configuration: []byte("one voter"), Timestamp: 1000},
			Fatal:  func(error) {},
		},
		RunBytes: 48 << 10, IndexCacheBytes: 1 << 20, WaitingYoung: 20,
	}
}

func mustOpen(t testing.TB, o Options) *Engine {
	t.Helper()
	e, _, err := Open(o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return e
}

func mustClose(t testing.TB, e *Engine) {
	t.Helper()
	if err := e.Close(); err != nil {
		t.Fatalf("close: %v", err)
	}
}

// settle waits until everything appended is applied and every sealed run is in
// a file and out of memory.
func settle(t testing.TB, e *Engine) {
	t.Helper()
	_, _, end := e.log.End()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if end == 0 {
		return
	}
	if err := e.WaitApplied(ctx, end-1); err != nil {
		t.Fatal(err)
	}
	x := e.indexer
	x.mu.Lock()
	for len(x.handed) > 0 && !x.failing {
		x.changed.Wait()
	}
	x.mu.Unlock()
	x.do(func() {})
	if err := e.onApply(e.forgetWritten); err != nil {
		t.Fatal(err)
	}
}

// decideTrim appends the decision to drop everything through a frame that ends
// a segment.
func decideTrim(ctx context.Context, e *Engine, through event.Index) error {
	trim := event.Trim{Through: through, Cause: event.TrimByAge}
	for _, s := range e.log.Sealed() {
		if s.Last == through {
			trim.Position = s.End
		}
	}
	if err := trim.Validate(); err != nil {
		return err
	}
	position, err := e.Append(0, event.Draft{Kind: event.KindTrim, Payload: event.Bytes(event.AppendTrim(nil, trim))})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	return e.WaitApplied(ctx, position)
}

// trimNow decides to trim and carries it out.
func trimNow(ctx context.Context, e *Engine, through event.Index) error {
	if err := decideTrim(ctx, e, through); err != nil {
		return err
	}
	return e.carryOutTrim()
}

func dump(t *testing.T, e *Engine) string {
	t.Helper()
	settle(t, e)
	var b bytes.Buffer
	if err := e.Dump(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// dumpRepaired is dump where a power cut, or the test, has damaged index files:
// a read that meets one fails, and the file is rebuilt.
func dumpRepaired(t *testing.T, e *Engine) string {
	t.Helper()
	settle(t, e)
	var b bytes.Buffer
	repaired(t, e, func() error {
		b.Reset()
		return e.Dump(&b)
	})
	return b.String()
}

// deleteIndex removes everything that is not the log.
func deleteIndex(t testing.TB, d disk.Disk) (deleted int) {
	t.Helper()
	names, err := d.List(indexDir)
	if err != nil && !errors.Is(err, disk.ErrNotFound) {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := d.Remove(indexDir + "/" + name); err != nil {
			t.Fatal(err)
		}
	}
	return len(names)
}

// workload draws frames and remembers what a reader must find.
type workload struct {
	rng    *rand.Rand
	now    int64
	nextID event.TopicID
	live   []event.TopicID
	names  map[event.TopicID]string // of the live topics
	reborn bool                     // a deleted topic's id may be used again, as no proposer does
	queues map[event.Queue][]stored
	keys   map[string][]stored

	commits map[uint64]int // events by the hash of a commit

	recreated, setBack int // topics under their old name, consumers
}

type stored struct {
	tag  int32
	time int64
	body string
}

func newWorkload(seed uint64) *workload {
	return &workload{rng: rand.New(rand.NewPCG(seed, 5)), now: 1_700_000_000_000, nextID: 1, names: make(map[event.TopicID]string),
		queues: make(map[event.Queue][]stored), keys: make(map[string][]stored), commits: make(map[uint64]int)}
}

// frame draws the next frame: mostly messages; now and then a topic comes,
// goes or comes again under its old name, groups come and go, and consumers
// commit and are set back.
func (w *workload) frame() []event.Draft {
	w.now += w.rng.Int64N(3)
	switch n := w.rng.IntN(40); {
	case n < 2 || len(w.live) == 0:
		return []event.Draft{w.createTopic("")}
	case n == 2 && len(w.live) > 2:
		gone, _ := w.deleteTopic()
		return []event.Draft{gone, w.createTopic("")}
	case n == 3:
		gone, name := w.deleteTopic()
		w.recreated++
		return []event.Draft{gone, w.createTopic(name)}
	case n == 4:
		return []event.Draft{w.group()}
	case n < 8:
		return []event.Draft{w.commitOffsets(), w.deliver()}
	}
	var drafts []event.Draft
	for range 1 + w.rng.IntN(8) {
		drafts = append(drafts, w.message())
	}
	return drafts
}

// createTopic creates a topic, with a name of its own without one.
func (w *workload) createTopic(name string) event.Draft {
	id := w.nextID
	w.nextID++
	if name == "" {
		name = fmt.Sprintf("topic-%d", id)
	}
	w.live = append(w.live, id)
	w.names[id] = name
	config := event.TopicConfig{Name: name, ReadQueues: 4, WriteQueues: 4}
	return event.Draft{Kind: event.KindTopic, Topic: id, Payload: event.Bytes(event.AppendTopicConfig(nil, config))}
}

func (w *workload) deleteTopic() (event.Draft, string) {
	i := w.rng.IntN(len(w.live))
	id := w.live[i]
	name := w.names[id]
	if !w.reborn || w.rng.IntN(2) == 0 {
		w.live = append(w.live[:i], w.live[i+1:]...)
		delete(w.names, id)
	}
	for q := range w.queues {
		if q.Topic == id {
			delete(w.queues, q)
		}
	}
	return event.Draft{Kind: event.KindTopicDeleted, Topic: id}, name
}

func (w *workload) group() event.Draft {
	name := fmt.Sprintf("group-%d", w.rng.IntN(3))
	if w.rng.IntN(3) == 0 {
		deletion := event.GroupDeletion{Name: name, Offsets: w.rng.IntN(2) == 0}
		return event.Draft{Kind: event.KindGroupDeleted, Payload: event.Bytes(event.AppendGroupDeletion(nil, deletion))}
	}
	config := event.GroupConfig{Name: name, Attributes: []event.Attribute{{Key: "retryMaxTimes", Value: fmt.Sprint(w.now)}}}
	return event.Draft{Kind: event.KindGroup, Payload: event.Bytes(event.AppendGroupConfig(nil, config))}
}

// commitOffsets commits, and sets the last consumer back to where it was.
func (w *workload) commitOffsets() event.Draft {
	var commits []event.OffsetCommit
	for range 1 + w.rng.IntN(3) {
		commits = append(commits, event.OffsetCommit{
			Group: fmt.Sprintf("group-%d", w.rng.IntN(3)), Queue: w.queue(), Offset: event.Offset(w.rng.IntN(50)), Client: "client",
		})
	}
	if back := commits[len(commits)-1]; back.Offset > 20 {
		w.setBack++
		back.Offset -= 20
		commits = append(commits, back)
	}
	d := event.Draft{Kind: event.KindOffsets, Payload: event.Bytes(event.AppendOffsetCommits(nil, commits))}
	for _, c := range commits {
		if h := event.CommitHash(c.Group, c.Queue); !slices.Contains(d.Keys, h) {
			d.Keys = append(d.Keys, h)
			w.commits[h]++
		}
	}
	return d
}

func (w *workload) deliver() event.Draft {
	d := event.Delivery{Group: "group-1", Queue: w.queue(), Client: "client", First: event.Offset(w.rng.IntN(5000)), Since: w.now}
	d.Messages = 1 + w.rng.Uint64N(3000)
	d.Next = d.First + event.Offset(d.Messages)
	payload := event.AppendDeliveries(nil, []event.Delivery{d})
	return event.Draft{Kind: event.KindDelivered, Keys: event.AppendDeliveryHashes(nil, &d), Payload: event.Bytes(payload)}
}

func (w *workload) queue() event.Queue {
	return event.Queue{Topic: w.live[w.rng.IntN(len(w.live))], ID: uint32(w.rng.IntN(4))}
}

func (w *workload) message() event.Draft {
	q := w.queue()
	key := fmt.Sprintf("key-%d", w.rng.IntN(40))
	s := stored{tag: w.rng.Int32N(5), time: w.now, body: fmt.Sprintf("%s body %d %0*d", key, w.now, w.rng.IntN(900), 0)}
	w.queues[q] = append(w.queues[q], s)
	name := fmt.Sprint(q.Topic, key)
	w.keys[name] = append(w.keys[name], s)
	return event.Draft{Kind: event.KindMessage, Stream: event.StreamQueue, Topic: q.Topic, Queue: q.ID, Tag: s.tag,
		Keys: []uint64{event.KeyHash(q.Topic, []byte(key))}, Payload: event.Bytes(s.body)}
}

// run appends frames until n are stored or the log refuses. It returns the
// last position.
func (w *workload) run(e *Engine, n int) (last event.Position, err error) {
	for range n {
		drafts := w.frame()
		if last, err = e.Append(w.now, drafts...); err != nil {
			return last, err
		}
	}
	return last, nil
}

// check compares every queue with what was stored.
func (w *workload) check(t testing.TB, e *Engine) {
	t.Helper()
	settle(t, e)
	for q, want := range w.queues {
		first, next := e.Bounds(q)
		if int(next) != len(want) {
			t.Fatalf("queue %v: next offset %d, expected %d", q, next, len(want))
		}
		at := first
		for at < next {
			after, err := e.ReadQueue(q, at, ReadLimits{Count: 50, Bytes: 1 << 20, Scan: 50}, nil, func(m Message) error {
				s := want[m.Offset]
				if string(m.Event.Payload()) != s.body || m.Event.Tag() != s.tag || m.Timestamp != s.time || m.Event.Queue() != q {
					return fmt.Errorf("offset %d reads %q at %d, expected %q at %d", m.Offset, m.Event.Payload(), m.Timestamp, s.body, s.time)
				}
				return nil
			})
			if err != nil || after == at {
				t.Fatalf("queue %v at %d of %d: next %d, %v", q, at, next, after, err)
			}
			at = after
		}
		w.checkTime(t, e, q, first)
	}
}

// checkTime searches a queue by some times.
func (w *workload) checkTime(t testing.TB, e *Engine, q event.Queue, first event.Offset) {
	t.Helper()
	want := w.queues[q]
	for range 5 {
		ms := want[w.rng.IntN(len(want))].time + w.rng.Int64N(3) - 1
		lower := event.Offset(len(want))
		for i := len(want) - 1; i >= int(first) && want[i].time >= ms; i-- {
			lower = event.Offset(i)
		}
		if got, err := e.OffsetAt(q, ms, Lower); err != nil || got != lower {
			t.Fatalf("queue %v: first offset at %d ms is %d, expected %d; %v", q, ms, got, lower, err)
		}
	}
}
