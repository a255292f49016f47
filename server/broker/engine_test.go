package broker

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/replication"
	"github.com/apogeemq/apogee/server/remoting"
)

// waitingDir is where a node in dir has its table of waiting messages.
func waitingDir(dir string) string { return filepath.Join(dir, "waiting") }

// openNode opens a single node in dir.
func openNode(t *testing.T, dir string) *replication.Single {
	t.Helper()
	folder := filepath.Join(dir, "log")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	d, err := disk.OpenPosix(folder)
	if err != nil {
		t.Fatal(err)
	}
	node, _, err := replication.OpenSingle(replication.SingleOptions{
		Address: storeHost.String(),
		Engine: engine.Options{CommitAt: engine.CommitDurable, WaitingFS: vfs.Default, WaitingDir: waitingDir(dir),
			Log: commitlog.Options{Disk: d, SegmentBytes: 16 << 20, TailBytes: 4 << 20, HistoryBytes: 1 << 20}},
		Proposer: replication.ProposerOptions{
			WaitingBytes: 4 << 20, WaitTime: time.Second, FlushTimeout: patience,
			Now: func() int64 { return time.Now().UnixMilli() },
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return node
}

// runOnEngine runs a broker on a real engine in dir while f runs.
func runOnEngine(t *testing.T, dir string, f func(h *harness)) {
	t.Helper()
	node := openNode(t, dir)
	e := node.Engine()
	t.Run("", func(t *testing.T) {
		c := testConfig()
		c.Logger = slog.New(slog.DiscardHandler)
		b, err := New(c, Dependencies{Proposer: node, Queues: e, Topics: e.Topics(), Offsets: e.Offsets(), Groups: e.Groups(), Locks: e.Locks(), Waiting: e.Waiting(), Progress: e})
		if err != nil {
			t.Fatal(err)
		}
		b.Lead()
		h := serve(t, b)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		if err := b.CreateSystemTopics(ctx); err != nil {
			t.Fatal(err)
		}
		f(h)
	})
	if err := node.Close(); err != nil {
		t.Error(err)
	}
}

// visible waits until a queue's next offset is the one wanted: a send is
// answered when it is committed, which may be before it is applied.
func (h *harness) visible(queueID int, next string) {
	h.Helper()
	for range 10000 {
		if h.call(remoting.RequestGetMaxOffset, offsetFields(queueID), nil).Text("offset") == next {
			return
		}
	}
	h.Fatalf("queue %d doesn't reach offset %s", queueID, next)
}

// drainQueue pulls a queue until it is at its end and returns the bodies.
func (h *harness) drainQueue(c *remoting.Client, queueID int) []string {
	h.Helper()
	var bodies []string
	offset := int64(0)
	for {
		got := h.callAs(c, remoting.RequestPullMessage, pullFields(queueID, offset), nil)
		if got.Code == remoting.ResponsePullNotFound {
			return bodies
		}
		h.want(got, remoting.ResponseSuccess)
		for _, r := range h.decodeAll(got.Body) {
			if r.QueueOffset != offset {
				h.Fatalf("queue %d: record has offset %d, want %d", queueID, r.QueueOffset, offset)
			}
			offset++
			bodies = append(bodies, string(r.Body))
		}
	}
}

func TestMessagesOffsetsAndTopicsSurviveARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	const senders, each = 4, 50
	var proposed uint64
	runOnEngine(t, dir, func(h *harness) {
		waiter := h.dial(nil)
		h.heartbeat(waiter, "c1", "CG", map[string]string{"T": "*"})
		h.want(h.call(remoting.RequestSendMessageV2, sendFields(0), []byte("0")), remoting.ResponseSuccess) // creates T
		h.visible(0, "1")
		held := h.begin(waiter, remoting.RequestPullMessage, waiting(0, 1).with("sysFlag", "2"), nil)
		var wg sync.WaitGroup
		for s := range senders {
			c := h.dial(nil)
			wg.Go(func() {
				for i := range each {
					got := h.callAs(c, remoting.RequestSendMessageV2, sendFields(s), []byte(fmt.Sprint(i+1)))
					if got.Code != remoting.ResponseSuccess {
						h.Errorf("code %d, remark %s", got.Code, got.Remark)
					}
				}
			})
		}
		wg.Wait()
		h.want(receive(h.T, held), remoting.ResponseSuccess)
		h.want(h.call(remoting.RequestUpdateConsumerOffset, offsetFields(0).with("commitOffset", "17"), nil), remoting.ResponseSuccess)
		proposed = h.broker.topics.Version()
	})
	runOnEngine(t, dir, func(h *harness) {
		for queue := range senders {
			bodies := h.drainQueue(h.client, queue)
			want := each
			if queue == 0 {
				want++
			}
			if len(bodies) != want {
				h.Errorf("queue %d has %d messages, want %d", queue, len(bodies), want)
			}
		}
		got := h.want(h.call(remoting.RequestQueryConsumerOffset, offsetFields(0), nil), remoting.ResponseSuccess)
		if got.Text("offset") != "17" {
			h.Errorf("offset %s, want 17", got.Text("offset"))
		}
		if version := h.broker.topics.Version(); version != proposed {
			h.Errorf("version %d of the topics, want %d: system topics are created once", version, proposed)
		}
		table, _ := h.broker.TopicTable()
		names := map[string]bool{}
		for _, topic := range table {
			names[topic.Name] = true
		}
		for _, name := range []string{"T", "TBW102", "SELF_TEST_TOPIC", "BenchmarkTest", "DefaultCluster", "broker-a", "%RETRY%CG"} {
			if !names[name] {
				h.Errorf("topic %s is missing", name)
			}
		}
		var metrics strings.Builder
		h.broker.WriteMetrics(&metrics)
		want := `rocketmq_messages_out_total{cluster="DefaultCluster",node_type="broker",node_id="broker-a",topic="T",consumer_group="CG",is_retry="false",is_system="false"} 201`
		if !strings.Contains(metrics.String(), want) {
			h.Errorf("metrics lack %s:\n%s", want, metrics.String())
		}
	})
}

func TestNoWakeUpIsLostWhileMessagesArrive(t *testing.T) {
	t.Parallel()
	runOnEngine(t, t.TempDir(), func(h *harness) {
		h.createTopic(TopicSettings{Name: "T", ReadQueues: 1, WriteQueues: 1, Permission: 6})
		const messages, consumers = 200, 3
		var wg sync.WaitGroup
		for range consumers {
			c := h.dial(nil)
			wg.Go(func() {
				for next := int64(0); next < messages; {
					got := h.callAs(c, remoting.RequestPullMessage, waiting(0, next).with("suspendTimeoutMillis", "60000"), nil)
					if got.Code != remoting.ResponseSuccess {
						h.Errorf("code %d at %d: the pull was not woken", got.Code, next)
						return
					}
					next += int64(len(h.decodeAll(got.Body)))
				}
			})
		}
		for i := range messages {
			h.want(h.call(remoting.RequestSendMessageV2, sendFields(0), []byte(fmt.Sprint(i))), remoting.ResponseSuccess)
		}
		wg.Wait()
	})
}
