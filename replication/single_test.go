package replication

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
)

type waiter chan engine.Proposal

func (w waiter) Complete(p *engine.Proposal) { w <- *p }

func options(t testing.TB, dir string, mark engine.CommitMark) SingleOptions {
	t.Helper()
	d, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return SingleOptions{
		Address: "127.0.0.1:10911",
		Engine: engine.Options{
			CommitAt: mark,
			Log:      commitlog.Options{Disk: d, SegmentBytes: 16 << 20, TailBytes: 8 << 20, HistoryBytes: 1 << 20},
		},
		Proposer: ProposerOptions{
			WaitingBytes: 4 << 20, WaitTime: time.Second, FlushTimeout: 5 * time.Second,
			Now: func() int64 { return time.Now().UnixMilli() },
		},
	}
}

func open(t testing.TB, o SingleOptions) *Single {
	t.Helper()
	s, _, err := OpenSingle(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func message(q event.Queue, body string) event.Draft {
	return event.Draft{Kind: event.KindMessage, Stream: event.StreamQueue, Topic: q.Topic, Queue: q.ID, Payload: event.Bytes(body)}
}

func TestProposedMessagesAreReadBackInOrderAndAfterReopen(t *testing.T) {
	t.Parallel()
	for _, mark := range []engine.CommitMark{engine.CommitDurable, engine.CommitWritten} {
		t.Run(fmt.Sprint("commit at ", mark), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			s := open(t, options(t, dir, mark))
			const senders, each = 8, 200
			var wg sync.WaitGroup
			for i := range senders {
				wg.Go(func() { sendAll(t, s, event.Queue{Topic: 1, ID: uint32(i % 2)}, each) })
			}
			wg.Wait()
			checkQueues(t, s.Engine(), senders*each/2)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, options(t, dir, mark))
			checkQueues(t, s.Engine(), senders*each/2)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// sendAll proposes messages one after another; each says which offset it got.
func sendAll(t *testing.T, s *Single, q event.Queue, n int) {
	done := make(waiter, 1)
	for range n {
		p := &engine.Proposal{Drafts: []event.Draft{message(q, "body")}, Completion: done}
		if err := s.Propose(p); err != nil {
			t.Error(err)
			return
		}
		got := <-done
		if err := s.Engine().WaitApplied(context.Background(), got.Position); err != nil {
			t.Error(err)
		}
		var read int
		_, err := s.Engine().ReadQueue(q, got.Offset, engine.ReadLimits{Count: 1, Bytes: 1 << 20, Scan: 1}, nil, func(m engine.Message) error {
			read++
			if m.Position != got.Position || m.Timestamp != got.Timestamp || m.Offset != got.Offset {
				t.Errorf("read %+v, the proposal was told %+v", m, got)
			}
			return nil
		})
		if err != nil || read != 1 {
			t.Errorf("read back: %d messages, %v", read, err)
		}
	}
}

func checkQueues(t *testing.T, e *engine.Engine, want int) {
	t.Helper()
	for id := range uint32(2) {
		q := event.Queue{Topic: 1, ID: id}
		n := 0
		_, err := e.ReadQueue(q, 0, engine.ReadLimits{Count: 1 << 20, Bytes: 1 << 30, Scan: 1 << 20}, nil, func(m engine.Message) error {
			if m.Offset != event.Offset(n) || !bytes.Equal(m.Event.Payload(), []byte("body")) {
				t.Errorf("queue %d: offset %d with %q where %d was expected", id, m.Offset, m.Event.Payload(), n)
			}
			n++
			return nil
		})
		if err != nil || n != want {
			t.Errorf("queue %d: %d messages, want %d: %v", id, n, want, err)
		}
	}
}

func TestTheFirstFrameIsAConfigurationThatRaftReads(t *testing.T) {
	t.Parallel()
	s := open(t, options(t, t.TempDir(), engine.CommitDurable))
	defer s.Close()
	log := s.Engine().Log()
	err := log.CursorFrom(1).Visit(1, func(f commitlog.Frame) error {
		if f.Kind != commitlog.FrameConfiguration || f.Term != 1 {
			t.Errorf("first frame: %v of term %d", f.Kind, f.Term)
		}
		id := log.Meta().Log
		if !bytes.Equal(f.Data[:len(id)], id[:]) {
			t.Error("the first frame doesn't begin with the log's id")
		}
		c := raft.DecodeConfiguration(f.Data[len(id):])
		if len(c.Servers) != 1 || c.Servers[0].Address != "127.0.0.1:10911" || c.Servers[0].Suffrage != raft.Voter {
			t.Errorf("configuration %+v", c)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func BenchmarkPropose(b *testing.B) {
	for _, senders := range []int{1, 64, 256} {
		for _, mark := range []engine.CommitMark{engine.CommitDurable, engine.CommitWritten} {
			b.Run(fmt.Sprintf("senders=%d/mark=%d", senders, mark), func(b *testing.B) {
				o := options(b, b.TempDir(), mark)
				o.Engine.Log.SegmentBytes, o.Engine.Log.TailBytes = 1<<30, 64<<20
				s := open(b, o)
				defer s.Close()
				body := make([]byte, 1024)
				b.ReportAllocs()
				b.ResetTimer()
				var wg sync.WaitGroup
				for i := range senders {
					wg.Go(func() {
						done := make(chan struct{}, 1)
						p := &engine.Proposal{Drafts: []event.Draft{message(event.Queue{Topic: 1, ID: uint32(i % 8)}, "")}, Completion: signal(done)}
						p.Drafts[0].Payload = event.Bytes(body)
						for range b.N / senders {
							if err := s.Propose(p); err != nil {
								b.Error(err)
								return
							}
							<-done
						}
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N/senders*senders)/b.Elapsed().Seconds(), "msg/s")
			})
		}
	}
}

type signal chan struct{}

func (s signal) Complete(*engine.Proposal) { s <- struct{}{} }
