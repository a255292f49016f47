package broker

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"runtime"
	"testing"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/server/remoting"
)

// instantLog encodes each proposal into the same buffer and completes it at
// once: what is measured with it is the broker's own cost.
type instantLog struct {
	*fakeLog
	buffer []byte
}

func (l *instantLog) Propose(p *engine.Proposal) error {
	for i := range p.Drafts {
		n := p.Drafts[i].EncodedBytes()
		if n > len(l.buffer) {
			l.buffer = make([]byte, n)
		}
		p.Drafts[i].Encode(l.buffer[:n], 1)
	}
	p.Outcome, p.Position, p.Offset, p.Timestamp = engine.OutcomeCommitted, 1<<40, 1<<20, 1700000000000
	p.Completion.Complete(p)
	return nil
}

// capture is a handler that hands one request to a test.
type capture chan captured

type captured struct {
	replyTo remoting.ReplyTo
	command *remoting.Command
}

func (c capture) Handle(rt remoting.ReplyTo, cmd *remoting.Command) { c <- captured{rt, cmd.Clone()} }
func (c capture) Closed(*remoting.Conn)                             {}

// captureRequest returns a request that has come over a connection whose
// replies nobody looks at.
func captureRequest(tb testing.TB, r *remoting.Request, serialization remoting.Serialization) captured {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	arrived := make(capture, 1)
	server := remoting.Serve(listener, arrived, remoting.Options{Logger: slog.New(slog.DiscardHandler)})
	tb.Cleanup(func() { _ = server.Shutdown(tb.Context()) })
	// A pipe between client and server keeps the client from reading replies.
	frame := make(chan []byte, 1)
	near, far := net.Pipe()
	client := remoting.NewClient(near, remoting.ClientOptions{Serialization: serialization, Logger: slog.New(slog.DiscardHandler)})
	go func() {
		b := make([]byte, 1<<16)
		n, _ := far.Read(b)
		frame <- b[:n]
	}()
	if err := client.Go(r, func(*remoting.Command, error) {}); err != nil {
		tb.Fatal(err)
	}
	socket, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := socket.Write(receive(tb, frame)); err != nil {
		tb.Fatal(err)
	}
	client.Close()
	tb.Cleanup(func() { socket.Close(); far.Close() })
	go func() { _, _ = io.Copy(io.Discard, socket) }()
	return receive(tb, arrived)
}

func instantBroker(tb testing.TB) *Broker {
	tb.Helper()
	log := &instantLog{fakeLog: newFakeLog()}
	dependencies := log.dependencies()
	// The topic is created in the fake log, messages go to the instant one.
	b, err := New(testConfig(), dependencies)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := b.Close(); err != nil {
			tb.Error(err)
		}
	})
	done := make(chan error, 1)
	b.registry.createTopic(TopicSettings{Name: "T", ReadQueues: 4, WriteQueues: 4, Permission: 6}, func(err error) { done <- err })
	if err := receive(tb, done); err != nil {
		tb.Fatal(err)
	}
	b.sender.proposer = log
	return b
}

// sendAndWait serves a request a number of times and waits for the replies.
func sendAndWait(b *Broker, c captured, times int) {
	for range times {
		b.Handle(c.replyTo, c.command)
	}
	for b.sender.inFlight.Load() != 0 {
		runtime.Gosched()
	}
}

func TestSendDoesNotAllocate(t *testing.T) {
	if raceDetector {
		t.Skip("sync.Pool drops elements at random under the race detector")
	}
	b := instantBroker(t)
	body := make([]byte, 1024)
	for name, r := range map[string]*remoting.Request{
		"long keys":  longSendFields(sendFields(1)).request(remoting.RequestSendMessage, body),
		"short keys": sendFields(1).request(remoting.RequestSendMessageV2, body),
		"no key":     sendFields(-1).with("i", "").request(remoting.RequestSendMessageV2, body),
		"batch":      sendFields(1).with("m", "true").request(remoting.RequestSendBatchMessage, batchBody("one", "two", "three")),
	} {
		for _, serialization := range []remoting.Serialization{remoting.JSON, remoting.Binary} {
			c := captureRequest(t, r, serialization)
			const sends = 100
			sendAndWait(b, c, sends)
			// The garbage collector may empty a pool between two runs.
			if n := testing.AllocsPerRun(50, func() { sendAndWait(b, c, sends) }); n > sends/20 {
				t.Errorf("%s, serialization %d: %v allocations for %d sends, want none", name, serialization, n, sends)
			}
		}
	}
}

func BenchmarkSend(b *testing.B) {
	broker := instantBroker(b)
	c := captureRequest(b, sendFields(1).request(remoting.RequestSendMessageV2, make([]byte, 1024)), remoting.JSON)
	for _, pipelined := range []int{1, 256} {
		b.Run(fmt.Sprintf("pipelined=%d", pipelined), func(b *testing.B) {
			b.ReportAllocs()
			for left := b.N; left > 0; left -= pipelined {
				sendAndWait(broker, c, min(left, pipelined))
			}
		})
	}
}
