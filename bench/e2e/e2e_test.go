package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apogeemq/apogee/bench/load"
	"github.com/apogeemq/apogee/server/node"
	"github.com/apogeemq/apogee/server/remoting"
)

// startNode runs a whole broker and returns its address.
func startNode(t *testing.T) string {
	t.Helper()
	c, err := node.Load("", []string{"listenPort=0", "namesrvListenPort=0", "adminListenPort=0", "storePathRootDir=" + t.TempDir(),
		"mappedFileSizeCommitLog=33554432", "readCacheSize=1048576", "flushDiskType=ASYNC_FLUSH", "logLevel=error"})
	if err != nil {
		t.Fatal(err)
	}
	n, err := node.Start(t.Context(), c, node.Options{Version: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return n.Addresses().Broker.String()
}

// serve answers every request as the handler says.
func serve(t *testing.T, handle func(remoting.ReplyTo, *remoting.Command)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := remoting.Serve(l, handlerFunc(handle), remoting.Options{})
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // held requests need no answer
		_ = s.Shutdown(ctx)
	})
	return l.Addr().String()
}

type handlerFunc func(remoting.ReplyTo, *remoting.Command)

func (f handlerFunc) Handle(rt remoting.ReplyTo, cmd *remoting.Command) { f(rt, cmd) }
func (handlerFunc) Closed(*remoting.Conn)                               {}

func short(address string) Options {
	return Options{Address: address, Topic: "T", Queues: 4, Size: 100, Producers: 2, Consumers: 2, Group: "G",
		Warmup: 50 * time.Millisecond, Duration: 300 * time.Millisecond, Rest: 20 * time.Second}
}

func TestEveryMessageIsDeliveredOnceAndMeasured(t *testing.T) {
	t.Parallel()
	o := short(startNode(t))
	o.Rates = []int{200, 1000}
	var told []string
	o.Progress = func(text string) { told = append(told, text) }
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int64{60, 300} {
		s := r.Samples[i]
		if s.Delivered != want || s.Stored != want || int64(s.Due) != want || s.Missing+s.Duplicates+s.Errors != 0 {
			t.Errorf("at %d: %+v, want %d", s.Rate, s, want)
		}
		if s.EndToEnd.Max <= 0 || s.EndToEnd.P50 > s.EndToEnd.P999 || s.Send.Max <= 0 {
			t.Errorf("at %d: end to end %+v, send %+v", s.Rate, s.EndToEnd, s.Send)
		}
	}
	if len(told) < 2 || !strings.Contains(told[0], "rate 1 of 2") {
		t.Errorf("progress: %q", told)
	}
}

func TestALoadThatIsEndedEarlyCountsWhatWasSent(t *testing.T) {
	t.Parallel()
	o := short(startNode(t))
	o.Rates, o.Duration = []int{500}, time.Hour
	enough := make(chan struct{})
	o.Enough = enough
	timer := time.AfterFunc(500*time.Millisecond, func() { close(enough) })
	defer timer.Stop()
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	s := r.Samples[0]
	if s.Due == 0 || s.Due > 100_000 || s.Stored != int64(s.Due) || s.Delivered != s.Stored || s.Missing != 0 || s.PerSecond < 1 {
		t.Errorf("%+v", s)
	}
}

// TestAStallIsCountedForEveryMessageThatItDelays: half a second of messages
// was due half a second ago. A generator that omits would show one slow
// message, or none.
func TestAStallIsCountedForEveryMessageThatItDelays(t *testing.T) {
	t.Parallel()
	address := serve(t, func(rt remoting.ReplyTo, _ *remoting.Command) { rt.Send(&remoting.Reply{}) })
	o := short(address)
	o.Warmup, o.Producers = 0, 1
	r := &run{options: &o, rate: 100, messages: 50, base: time.Now().Add(-time.Second)}
	client, err := remoting.Dial(t.Context(), address, remoting.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	p := newProducer(r, client, 0)
	if err := p.produce(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	const least = int64(500 * time.Millisecond)
	if p.stored != 50 || p.sent.Min() < least*99/100 || p.late.Min() < least*99/100 {
		t.Errorf("%d stored, send from %v, late from %v", p.stored, time.Duration(p.sent.Min()), time.Duration(p.late.Min()))
	}
}

func TestABrokerThatRefusesIsReported(t *testing.T) {
	t.Parallel()
	o := short(serve(t, func(rt remoting.ReplyTo, cmd *remoting.Command) {
		reply := &remoting.Reply{}
		switch cmd.Code {
		case remoting.RequestSendMessageV2:
			reply.Code, reply.Remark = remoting.ResponseSystemBusy, "too much"
		case remoting.RequestGetMaxOffset:
			reply.SetInt("offset", 0)
		case remoting.RequestPullMessage:
			return // held for ever
		}
		rt.Send(reply)
	}))
	o.Rates, o.Rest = []int{200}, 0
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if s := r.Samples[0]; s.Errors != 70 || s.FirstError != "code 2: too much" || s.Stored+s.Delivered != 0 {
		t.Errorf("got %+v", s)
	}
	var out bytes.Buffer
	if err := r.Print(&out); err != nil || !strings.Contains(out.String(), "70 sends failed") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

func TestAConsumerThatIsRefusedEndsTheRun(t *testing.T) {
	t.Parallel()
	o := short(serve(t, func(rt remoting.ReplyTo, cmd *remoting.Command) {
		reply := &remoting.Reply{}
		if cmd.Code == remoting.RequestPullMessage {
			reply.Code, reply.Remark = remoting.ResponseNoPermission, "not for you"
		}
		reply.SetInt("offset", 0)
		rt.Send(reply)
	}))
	o.Rates, o.Duration = []int{100}, time.Hour
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "not for you") {
		t.Errorf("got %v", err)
	}
}

func TestARunThatIsCalledOffEnds(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	address := serve(t, func(rt remoting.ReplyTo, cmd *remoting.Command) {
		reply := &remoting.Reply{}
		reply.SetInt("offset", 0)
		switch cmd.Code {
		case remoting.RequestPullMessage:
			return
		case remoting.RequestSendMessageV2:
			cancel()
		}
		rt.Send(reply)
	})
	o := short(address)
	o.Rates, o.Duration = []int{100}, time.Hour
	if _, err := Run(ctx, o); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestNumbersArriveOnce(t *testing.T) {
	t.Parallel()
	s := newSet(100)
	for _, c := range []struct {
		number uint64
		isNew  bool
	}{{0, true}, {99, true}, {0, false}, {99, false}, {1 << 40, false}} {
		if got := s.add(c.number); got != c.isNew {
			t.Errorf("%d is new: %v", c.number, got)
		}
	}
	body := make([]byte, 50)
	want := stamp{run: 1, number: 2, due: 3}
	want.put(body)
	if got, ok := readStamp(body); !ok || got != want {
		t.Errorf("got %+v", got)
	}
	if _, ok := readStamp(body[:stampBytes-1]); ok {
		t.Error("a short body has a stamp")
	}
}

func TestOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Options){
		"no rate": func(o *Options) { o.Rates = nil }, "rate 0": func(o *Options) { o.Rates = []int{0} },
		"no room": func(o *Options) { o.Size = 1 }, "idle consumers": func(o *Options) { o.Consumers = 5 },
		"no time": func(o *Options) { o.Duration = 0 }, "too many": func(o *Options) { o.Duration = 24 * time.Hour; o.Rates = []int{rateMax} },
	} {
		o := short("127.0.0.1:1")
		o.Rates = []int{100}
		if change(&o); o.check() == nil {
			t.Errorf("%s: %+v is taken", name, o)
		}
	}
}

func TestTheCommandPrintsJSONAndWritesThePlot(t *testing.T) {
	t.Parallel()
	svg := filepath.Join(t.TempDir(), "p.svg")
	cmd := Command()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&bytes.Buffer{})
	cmd.SetArgs([]string{"--addr", startNode(t), "--rates", "300", "--warmup", "0s", "--duration", "100ms", "--json", "--svg", svg})
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	var r Results
	if err := json.Unmarshal(out.Bytes(), &r); err != nil || len(r.Samples) != 1 || r.Samples[0].Delivered != 30 {
		t.Errorf("%v: %s", err, out.String())
	}
	text, err := os.ReadFile(svg)
	if err != nil || bytes.Count(text, []byte("<circle ")) != 2*len(quantiles) {
		t.Errorf("%v: %s", err, text)
	}
	if (&Results{Samples: []Sample{{EndToEnd: load.Latency{}}}}).Plot(&out) != nil {
		t.Error("a sample without numbers can't be drawn")
	}
}
