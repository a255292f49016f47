package transport

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine/event"
)

func someEntries(count, bytes int) []*raft.Log {
	var all []*raft.Log
	for i := range count {
		all = append(all, &raft.Log{Index: uint64(10 + i), Term: 3, Type: raft.LogCommand, Data: bytes1(bytes, byte(i)), AppendedAt: time.UnixMilli(1700000000000 + int64(i))})
	}
	return all
}

func bytes1(n int, b byte) []byte { return bytes.Repeat([]byte{b}, n) }

func TestRequestsAndResponsesArriveAsTheyWereSent(t *testing.T) {
	t.Parallel()
	a, b := pair(t, nil)
	got := make(chan any, 1)
	var answer any
	b.answer(t, func(rpc raft.RPC) {
		got <- rpc.Command
		rpc.Respond(answer, nil)
	})
	h := header(a)
	entries := append(someEntries(3, 100),
		&raft.Log{Index: 13, Term: 4, Type: raft.LogNoop},
		&raft.Log{Index: 14, Term: 4, Type: 255, AppendedAt: time.UnixMilli(5)},
		&raft.Log{Index: 15, Term: 4, Type: raft.LogConfiguration, Data: []byte("members")})
	appendRequest := &raft.AppendEntriesRequest{RPCHeader: h, Term: 4, PrevLogEntry: 9, PrevLogTerm: 3, Entries: entries, LeaderCommitIndex: 8}
	vote := &raft.RequestVoteRequest{RPCHeader: h, Term: 5, LastLogIndex: 7, LastLogTerm: 4, LeadershipTransfer: true}
	preVote := &raft.RequestPreVoteRequest{RPCHeader: h, Term: 5, LastLogIndex: 7, LastLogTerm: 4}
	for _, call := range []struct {
		request, response, into any
		send                    func(into any) error
	}{
		{appendRequest, &raft.AppendEntriesResponse{RPCHeader: h, Term: 4, LastLog: 15, Success: true, NoRetryBackoff: true}, &raft.AppendEntriesResponse{},
			func(into any) error {
				return a.transport.AppendEntries("b", b.address(), appendRequest, into.(*raft.AppendEntriesResponse))
			}},
		{vote, &raft.RequestVoteResponse{RPCHeader: h, Term: 5, Granted: true}, &raft.RequestVoteResponse{},
			func(into any) error {
				return a.transport.RequestVote("b", b.address(), vote, into.(*raft.RequestVoteResponse))
			}},
		{preVote, &raft.RequestPreVoteResponse{RPCHeader: h, Term: 5, Granted: true}, &raft.RequestPreVoteResponse{},
			func(into any) error {
				return a.transport.RequestPreVote("b", b.address(), preVote, into.(*raft.RequestPreVoteResponse))
			}},
		{&raft.TimeoutNowRequest{RPCHeader: h}, &raft.TimeoutNowResponse{RPCHeader: h}, &raft.TimeoutNowResponse{},
			func(into any) error {
				return a.transport.TimeoutNow("b", b.address(), &raft.TimeoutNowRequest{RPCHeader: h}, into.(*raft.TimeoutNowResponse))
			}},
	} {
		answer = call.response
		if err := call.send(call.into); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(call.request, <-got, cmpopts.EquateEmpty()); d != "" {
			t.Errorf("request: %s", d)
		}
		if d := cmp.Diff(call.response, call.into); d != "" {
			t.Errorf("response: %s", d)
		}
	}
	if p := a.transport.Progress()["b"]; p.Match != 15 || p.LastContact.IsZero() {
		t.Errorf("the peer's progress is %+v", p)
	}
}

func TestAnErrorOfTheOtherSideArrivesAndTheConnectionStays(t *testing.T) {
	t.Parallel()
	a, b := pair(t, nil)
	b.answer(t, func(rpc raft.RPC) { rpc.Respond(nil, errors.New("no such thing")) })
	for range 3 {
		err := a.transport.RequestVote("b", b.address(), &raft.RequestVoteRequest{RPCHeader: header(a)}, &raft.RequestVoteResponse{})
		var remote *RemoteError
		if !errors.As(err, &remote) || !strings.Contains(err.Error(), "no such thing") {
			t.Fatalf("error %v", err)
		}
	}
	if n := len(a.transport.idle[b.address()]); n != 1 {
		t.Errorf("%d connections are idle", n)
	}
}

func TestHeartbeatsDoNotWaitForWhatRaftIsDoing(t *testing.T) {
	t.Parallel()
	a, b := pair(t, nil)
	b.transport.SetHeartbeatHandler(func(rpc raft.RPC) { rpc.Respond(&raft.AppendEntriesResponse{Success: true}, nil) })
	ended := make(chan error, 1)
	go func() { // nobody takes it from the consumer
		r := &raft.AppendEntriesRequest{RPCHeader: header(a), Term: 1, PrevLogEntry: 1, Entries: someEntries(1, 10)}
		ended <- a.transport.AppendEntries("b", b.address(), r, &raft.AppendEntriesResponse{})
	}()
	var resp raft.AppendEntriesResponse
	if err := a.transport.AppendEntries("b", b.address(), &raft.AppendEntriesRequest{RPCHeader: header(a), Term: 1}, &resp); err != nil || !resp.Success {
		t.Fatalf("%+v, %v", resp, err)
	}
	_ = b.transport.Close()
	_ = b.network.Close()
	if <-ended == nil {
		t.Error("entries were answered by nobody")
	}
}

// lender lends data of its own for every entry.
type lender struct {
	bytes  int
	behind int64
}

// TermAt is 7 for entries below 1000.
func (l lender) TermAt(index event.Index) event.Term {
	if index >= 1000 {
		return 0
	}
	return 7
}

func (l lender) Stored() event.Index { return math.MaxUint64 }

func (l lender) Lend(index, _ uint64, visit func([]byte, int64) error) error {
	if index >= 1000 {
		return raft.ErrLogNotFound
	}
	return visit(bytes1(l.bytes, byte(index)), l.behind)
}

func bare(count int) []*raft.Log {
	var all []*raft.Log
	for i := range count {
		all = append(all, &raft.Log{Index: uint64(1 + i), Term: 1, Type: raft.LogCommand})
	}
	return all
}

func TestAMessageTakesAsManyEntriesAsFitAndLendsTheirData(t *testing.T) {
	t.Parallel()
	a, b := pair(t, func(c *Config) { c.Entries = lender{bytes: sendBytesMax / 4} })
	var received atomic.Int64
	b.answer(t, func(rpc raft.RPC) {
		r := rpc.Command.(*raft.AppendEntriesRequest)
		for _, e := range r.Entries {
			if !bytes.Equal(e.Data, bytes1(sendBytesMax/4, byte(e.Index))) {
				t.Errorf("entry %d has other data", e.Index)
			}
		}
		received.Add(int64(len(r.Entries)))
		rpc.Respond(&raft.AppendEntriesResponse{Success: true}, nil)
	})
	r := &raft.AppendEntriesRequest{RPCHeader: header(a), Term: 1, Entries: bare(50)}
	if err := a.transport.AppendEntries("b", b.address(), r, &raft.AppendEntriesResponse{}); err != nil {
		t.Fatal(err)
	}
	if len(r.Entries) != 3 || received.Load() != 3 {
		t.Errorf("%d entries were sent, %d arrived, want 3", len(r.Entries), received.Load())
	}
	gone := &raft.AppendEntriesRequest{RPCHeader: header(a), Term: 1, Entries: []*raft.Log{{Index: 1000, Type: raft.LogCommand}}}
	if err := a.transport.AppendEntries("b", b.address(), gone, &raft.AppendEntriesResponse{}); !errors.Is(err, raft.ErrLogNotFound) {
		t.Errorf("an entry that is gone: %v", err)
	}
}

// slowDisk has stored entries up to some.
type slowDisk struct {
	lender
	stored *atomic.Uint64
}

func (d slowDisk) Stored() event.Index { return event.Index(d.stored.Load()) }

func TestANodeConfirmsEntriesOnlyWhenItsDiskHasThem(t *testing.T) {
	t.Parallel()
	stored := new(atomic.Uint64)
	a, b := pair(t, func(c *Config) { c.Entries = slowDisk{lender{bytes: 10}, stored} })
	b.answer(t, func(rpc raft.RPC) { rpc.Respond(&raft.AppendEntriesResponse{Success: true}, nil) })
	send := func() error {
		r := &raft.AppendEntriesRequest{RPCHeader: header(a), Term: 1, Entries: bare(5)}
		return a.transport.AppendEntries("b", b.address(), r, &raft.AppendEntriesResponse{})
	}
	stored.Store(4)
	var remote *RemoteError
	if err := send(); !errors.As(err, &remote) {
		t.Errorf("entry 5 was confirmed by a node that has stored 4: %v", err)
	}
	if match, _ := a.transport.Match("b"); match != 0 {
		t.Errorf("it counts up to entry %d", match)
	}
	stored.Store(5)
	if err := send(); err != nil {
		t.Errorf("the entries are stored: %v", err)
	}
}

func TestALeaderTellsOfCommitsOnlyUpToWhatItsDiskHas(t *testing.T) {
	t.Parallel()
	stored := new(atomic.Uint64)
	stored.Store(7)
	a, b := pair(t, func(c *Config) { c.Entries = slowDisk{lender{bytes: 10}, stored} })
	b.answer(t, func(rpc raft.RPC) {
		if told := rpc.Command.(*raft.AppendEntriesRequest).LeaderCommitIndex; told != 7 {
			t.Errorf("entries up to %d are committed, says a leader that has stored 7", told)
		}
		rpc.Respond(&raft.AppendEntriesResponse{Success: true}, nil)
	})
	r := &raft.AppendEntriesRequest{RPCHeader: header(a), Term: 1, Entries: bare(1), LeaderCommitIndex: 9}
	if err := a.transport.AppendEntries("b", b.address(), r, &raft.AppendEntriesResponse{}); err != nil {
		t.Fatal(err)
	}
	if r.LeaderCommitIndex != 9 {
		t.Errorf("Raft's request was changed: %d", r.LeaderCommitIndex)
	}
}

func TestAPipelineAnswersInOrderAndHoldsBackWhatIsTooMuch(t *testing.T) {
	t.Parallel()
	a, b := pair(t, nil)
	waiting := make(chan raft.RPC)
	b.answer(t, func(rpc raft.RPC) { waiting <- rpc })
	p, err := a.transport.AppendEntriesPipeline("b", b.address())
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan uint64, 10)
	go func() {
		for i := range uint64(5) {
			r := &raft.AppendEntriesRequest{RPCHeader: header(a), Term: 1, PrevLogEntry: i, Entries: someEntries(1, 10)}
			if _, err := p.AppendEntries(r, &raft.AppendEntriesResponse{}); err != nil {
				t.Error(err)
			}
			sent <- i
		}
	}()
	for i := range uint64(5) {
		rpc := <-waiting
		if n := len(sent); n > window+int(i) {
			t.Errorf("%d are sent with %d answered", n, i)
		}
		rpc.Respond(&raft.AppendEntriesResponse{Success: true, LastLog: i}, nil)
		f := <-p.Consumer()
		if f.Error() != nil || f.Response().LastLog != i || f.Request().PrevLogEntry != i {
			t.Errorf("answer %d is %+v", i, f.Response())
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.AppendEntries(&raft.AppendEntriesRequest{}, &raft.AppendEntriesResponse{}); err == nil {
		t.Error("a closed pipeline sends")
	}
}

func TestASnapshotIsStreamed(t *testing.T) {
	t.Parallel()
	a, b := pair(t, nil)
	state := bytes1(3<<20, 7)
	b.answer(t, func(rpc raft.RPC) {
		got, err := io.ReadAll(rpc.Reader)
		if err != nil || !bytes.Equal(got, state) {
			t.Errorf("%d bytes arrived, %v", len(got), err)
		}
		rpc.Respond(&raft.InstallSnapshotResponse{Term: 2, Success: true}, nil)
	})
	r := &raft.InstallSnapshotRequest{RPCHeader: header(a), SnapshotVersion: 1, Term: 2, LastLogIndex: 9, LastLogTerm: 1,
		Configuration: []byte("members"), ConfigurationIndex: 9, Size: int64(len(state))}
	var resp raft.InstallSnapshotResponse
	if err := a.transport.InstallSnapshot("b", b.address(), r, &resp, bytes.NewReader(state)); err != nil || !resp.Success {
		t.Fatalf("%+v, %v", resp, err)
	}
}

func TestNothingIsSentWhileTheFlushHangs(t *testing.T) {
	t.Parallel()
	var hangs atomic.Bool
	a, b := pair(t, func(c *Config) { c.Stalled = hangs.Load })
	b.answer(t, func(rpc raft.RPC) { rpc.Respond(&raft.AppendEntriesResponse{Success: true}, nil) })
	p, err := a.transport.AppendEntriesPipeline("b", b.address())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	hangs.Store(true)
	beat := &raft.AppendEntriesRequest{RPCHeader: header(a), Term: 1}
	if err := a.transport.AppendEntries("b", b.address(), beat, &raft.AppendEntriesResponse{}); !errors.Is(err, ErrStalled) {
		t.Errorf("a heartbeat: %v", err)
	}
	if _, err := p.AppendEntries(beat, &raft.AppendEntriesResponse{}); !errors.Is(err, ErrStalled) {
		t.Errorf("entries: %v", err)
	}
	if err := a.transport.RequestVote("b", b.address(), &raft.RequestVoteRequest{}, &raft.RequestVoteResponse{}); !errors.Is(err, ErrStalled) {
		t.Errorf("a request for a vote: %v", err)
	}
}

func TestAReplicaThatIsFarBehindGetsALimitedRate(t *testing.T) {
	t.Parallel()
	for behind, limited := range map[int64]bool{10: false, 2000: true} {
		a, b := pair(t, func(c *Config) {
			c.Entries, c.CatchUpBytes, c.CatchUpBehind = lender{1000, behind}, 1_000_000, 1000
		})
		b.answer(t, func(rpc raft.RPC) { rpc.Respond(&raft.AppendEntriesResponse{Success: true}, nil) })
		r := &raft.AppendEntriesRequest{RPCHeader: header(a), Term: 1, Entries: bare(100)}
		if err := a.transport.AppendEntries("b", b.address(), r, &raft.AppendEntriesResponse{}); err != nil {
			t.Fatal(err)
		}
		if got := !a.transport.progress.next["b"].IsZero(); got != limited {
			t.Errorf("%d bytes behind: limited %v, want %v", behind, got, limited)
		}
	}
}

func TestSeveralGroupsShareOneListener(t *testing.T) {
	t.Parallel()
	a, b := pair(t, nil)
	c := configOf(b.network, "n2")
	c.Self.Group, c.Self.Log = "other", event.LogID{2}
	second := b.network.Join(c)
	defer second.Close()
	hello := a.transport.config.Self
	for group, log := range map[string]event.LogID{"g": {1}, "other": {2}} {
		hello.Group, hello.Log = group, event.LogID{}
		got, err := a.network.Ask(t.Context(), string(b.address()), hello)
		if err != nil || got.Log != log {
			t.Errorf("group %s has log %x, %v", group, got.Log, err)
		}
	}
	hello.Group = "nobody's"
	var refusal *Refusal
	if _, err := a.network.Ask(t.Context(), string(b.address()), hello); !errors.As(err, &refusal) {
		t.Errorf("a group that isn't there: %v", err)
	}
}
