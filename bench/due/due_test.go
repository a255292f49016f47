package due

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/apogeemq/apogee/server/node"
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

func short(address string) Options {
	return Options{Address: address, Topic: "due", Queues: 4, Connections: 2, Messages: 300, Size: 100, Rate: 100,
		Warmup: 50 * time.Millisecond, Duration: 200 * time.Millisecond, Ahead: time.Second, Patience: time.Minute}
}

func TestAllMessagesThatBecomeDueAreSeenToArrive(t *testing.T) {
	t.Parallel()
	o := short(startNode(t))
	for range 2 { // messages of an earlier run don't count
		r, err := Run(t.Context(), o)
		for err != nil && strings.Contains(err.Error(), "further ahead") { // a busy machine stores slowly
			o.Ahead, o.Topic = 2*o.Ahead, o.Topic+"x"
			r, err = Run(t.Context(), o)
		}
		if err != nil {
			t.Fatal(err)
		}
		if r.Seconds < 0 || r.Early != 0 || r.Messages != 300 || r.Without.Stored != 20 || r.During.Stored != 20 || r.TailRatio() <= 0 {
			t.Errorf("%+v", r)
		}
		var text bytes.Buffer
		if err := r.Print(&text); err != nil || !strings.Contains(text.String(), "the last of 300 messages was in its queue after") {
			t.Errorf("%s, %v", text.String(), err)
		}
	}
}

func TestTheCommandPrintsJSON(t *testing.T) {
	t.Parallel()
	cmd := Command()
	var out, told bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&told)
	cmd.SetContext(t.Context())
	cmd.SetArgs([]string{"--addr", startNode(t), "--messages", "5", "--rate", "100", "--warmup", "50ms", "--duration", "100ms", "--ahead", "4s", "--json"})
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	var r Results
	if err := json.Unmarshal(out.Bytes(), &r); err != nil || r.Messages != 5 || r.During.Stored != 10 {
		t.Errorf("%+v, %v", r, err)
	}
	if !strings.Contains(told.String(), "store 5 messages that are due at") {
		t.Errorf("told %q", told.String())
	}
}

func TestMessagesThatAreStoredTooLateFailTheRun(t *testing.T) {
	t.Parallel()
	o := short(startNode(t))
	o.Messages, o.Ahead, o.Warmup = 2_000_000, 300*time.Millisecond, 0
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "further ahead") {
		t.Errorf("error %v", err)
	}
}

func TestBadDueOptionsAreRefused(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Options){
		"messages": func(o *Options) { o.Messages = 0 },
		"topic":    func(o *Options) { o.Topic = "" },
		"ahead":    func(o *Options) { o.Ahead = o.Warmup },
		"patience": func(o *Options) { o.Patience = 0 },
	} {
		o := short("127.0.0.1:1")
		change(&o)
		if _, err := Run(t.Context(), o); err == nil || !strings.HasPrefix(err.Error(), "bench due: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
