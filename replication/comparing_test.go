package replication

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
	"github.com/apogeemq/apogee/replication/transport"
)

// comparingTrio is a group that compares states all the time.
func comparingTrio(t *testing.T) *trio {
	t.Helper()
	c := newTrio(t, 3)
	for _, n := range c.nodes {
		n.adjust = func(o *GroupOptions) {
			o.Times.Compare = 20 * time.Millisecond
			o.Times.Heartbeat = time.Second * groupPace // the leader stays
		}
	}
	c.up(c.nodes...)
	c.mustSend(20, 500)
	return c
}

// gets waits until a node's metrics have a counter above what it was.
func (n *groupNode) gets(what string, above uint64) uint64 {
	n.trio.t.Helper()
	var now uint64
	n.trio.until(fmt.Sprintf("%s of %s to pass %d", what, n.peer.Name, above), func() bool {
		now = n.counts()[what]
		return now > above
	})
	return now
}

// counts are the node's comparisons by what came of them.
func (n *groupNode) counts() map[string]uint64 {
	m := n.group.metrics
	return map[string]uint64{"same": m.same.Get(), "different": m.different.Get(), "left out": m.leftOut.Get()}
}

// stray has a node apply an event that the others don't have.
func (n *groupNode) stray() {
	d := event.Draft{Kind: event.KindOffsets, Payload: event.Bytes(event.AppendOffsetCommits(nil,
		[]event.OffsetCommit{{Group: "stray", Queue: event.Queue{Topic: 1}, Offset: 7}}))}
	e := make(event.Event, d.EncodedBytes())
	d.Encode(e, n.group.Engine().Log().Meta().Log.Seed())
	n.group.Engine().Offsets().Apply(projection.Place{}, e)
}

func (n *groupNode) metrics() string {
	var b bytes.Buffer
	n.group.WriteMetrics(&b)
	return b.String()
}

func TestALeaderFindsTheStatesOfItsFollowersToBeItsOwn(t *testing.T) {
	t.Parallel()
	c := comparingTrio(t)
	leader := c.leader()
	before := leader.gets("same", 1) // both, at rest
	stop, sent := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(sent)
		for {
			select {
			case <-stop:
				return
			default:
				c.send(leader, 10, 100)
			}
		}
	}()
	leader.gets("same", before+3) // under load
	close(stop)
	<-sent
	for _, n := range c.nodes {
		if n.counts()["different"] > 0 || len(n.group.Differing()) > 0 {
			t.Errorf("%s has found %v, %v", n.peer.Name, n.counts(), n.group.Differing())
		}
		if n != leader && (n.counts()["same"] > 0 || n.counts()["left out"] > 0) {
			t.Errorf("%s compares and doesn't lead: %v", n.peer.Name, n.counts())
		}
	}
	if want := `apogee_raft_peer_state_differs{peer="` + c.others(leader)[0].peer.Name; !strings.Contains(leader.metrics(), want) {
		t.Errorf("the metrics lack %s", want)
	}
}

func TestALogAtRestIsComparedOnce(t *testing.T) {
	t.Parallel()
	c := comparingTrio(t)
	leader := c.leader()
	c.check()
	end := leader.group.Engine().Marks().Applied
	settled := func() bool {
		return leader.group.Engine().Marks().Applied >= end && !leader.group.comparing.anyNews(leader.group.others())
	}
	c.until("both to be compared after the last frame", settled)
	before := leader.counts()
	c.mustSend(1, 100)
	end++
	c.until("both to be compared after another frame", settled)
	if after := leader.counts(); after["same"] < before["same"]+2 {
		t.Errorf("%v after %v", after, before)
	}
}

func TestAReplicaWhoseStateDiffersIsNamedAndAllGoOn(t *testing.T) {
	t.Parallel()
	c := comparingTrio(t)
	leader := c.leader()
	astray, well := c.others(leader)[0], c.others(leader)[1]
	c.check()
	astray.stray()
	c.mustSend(1, 100)
	found := leader.gets("different", 0)

	all := leader.group.Differing()
	if len(all) != 1 || all[0].Name != astray.peer.Name || !reflect.DeepEqual(all[0].Parts, []string{"offset"}) || all[0].Frame == 0 {
		t.Fatalf("found %+v, want the offsets of %s", all, astray.peer.Name)
	}
	metrics := leader.metrics()
	for _, want := range []string{
		fmt.Sprintf("apogee_raft_peer_state_differs{peer=%q,address=%q} 1\n", astray.peer.Name, astray.peer.Address),
		fmt.Sprintf("apogee_raft_peer_state_differs{peer=%q,address=%q} 0\n", well.peer.Name, well.peer.Address),
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if strings.Contains(metrics, `apogee_raft_state_comparisons_total{result="different"} 0`) {
		t.Error("the difference isn't counted")
	}
	c.logs.mu.Lock()
	said := c.logs.text.String()
	c.logs.mu.Unlock()
	if want := "level=ERROR"; !strings.Contains(said, want) || !strings.Contains(said, all[0].Describe(leader.peer.Name, astray.peer.Name)) {
		t.Error("the text log doesn't say so with what helps")
	}

	c.mustSend(50, 100) // everybody serves
	leader.gets("different", found)
	astray.followState(leader)
	c.until("the alarm to end", func() bool { return len(leader.group.Differing()) == 0 })
	c.check()
}

// followState makes a node's offsets those of another, between two frames.
func (n *groupNode) followState(other *groupNode) {
	n.trio.until("the nodes to be even", func() bool {
		return n.group.Engine().Marks().Applied == other.group.Engine().Marks().Applied
	})
	var b bytes.Buffer
	err := other.group.Engine().Offsets().Checkpoint(&b)
	if err == nil {
		err = n.group.Engine().Offsets().Restore(&b)
	}
	if err != nil {
		n.trio.t.Fatal(err)
	}
}

func TestALeaderWhoseOwnStateDiffersFindsThatOfAllOthersDifferent(t *testing.T) {
	t.Parallel()
	c := comparingTrio(t)
	leader := c.leader()
	c.check()
	leader.stray()
	c.mustSend(1, 100)
	c.until("both to differ", func() bool { return len(leader.group.Differing()) == 2 })
	if err := leader.group.Transfer(""); err != nil {
		t.Fatal(err)
	}
	next := c.leader(c.others(leader)...)
	c.until("the next leader to name the old one", func() bool {
		all := next.group.Differing()
		return len(all) == 1 && all[0].Name == leader.peer.Name
	})
	if all := leader.group.Differing(); len(all) > 0 {
		t.Errorf("a node that leads no more names %+v", all)
	}
}

func TestASilentReplicaIsLeftOutAndDoesNotDiffer(t *testing.T) {
	t.Parallel()
	c := comparingTrio(t)
	leader := c.leader()
	cut, down := c.others(leader)[0], c.others(leader)[1]
	cut.isolate(true)
	c.mustSend(1, 100)
	leader.gets("left out", leader.counts()["left out"])
	same := leader.gets("same", leader.counts()["same"]) // the one that is there
	cut.isolate(false)
	c.check()
	down.down()
	c.mustSend(1, 100)
	leader.gets("left out", leader.counts()["left out"])
	leader.gets("same", same)
	if all := leader.group.Differing(); len(all) > 0 || leader.counts()["different"] > 0 {
		t.Errorf("found %v, %v", all, leader.counts())
	}
}

func TestOnlyStatesOfOneFrameAndOneVersionAreHeldAgainstEachOther(t *testing.T) {
	t.Parallel()
	sum := func(frame event.Index, chain uint32, offsets string) engine.Sum {
		return engine.Sum{Index: frame, Chain: chain, Parts: []engine.PartSum{{Name: "queue", Sum: "q"}, {Name: "offset", Sum: offsets}}}
	}
	own := sum(7, 1, "x")
	for what, c := range map[string]struct {
		peer  peerState
		want  verdict
		parts []string
	}{
		"the same":        {peerState{State: transport.State{Version: engine.SumVersion, Sum: own}}, isSame, nil},
		"another state":   {peerState{State: transport.State{Version: engine.SumVersion, Sum: sum(7, 1, "y")}}, isDifferent, []string{"offset"}},
		"another log":     {peerState{State: transport.State{Version: engine.SumVersion, Sum: sum(7, 2, "y")}}, isDifferent, []string{engine.LogPart}},
		"a part less":     {peerState{State: transport.State{Version: engine.SumVersion, Sum: engine.Sum{Index: 7, Chain: 1, Parts: own.Parts[:1]}}}, isDifferent, []string{"offset"}},
		"another frame":   {peerState{State: transport.State{Version: engine.SumVersion, Sum: sum(8, 2, "y")}}, isLeftOut, nil},
		"another version": {peerState{State: transport.State{Version: engine.SumVersion + 1}}, isLeftOut, nil},
		"no answer":       {peerState{server: raft.Server{ID: "x"}, err: errors.New("it is silent")}, isLeftOut, nil},
	} {
		if got, parts := c.peer.against(&own); got != c.want || !reflect.DeepEqual(parts, c.parts) {
			t.Errorf("%s: %d, %q, want %d, %q", what, got, parts, c.want, c.parts)
		}
	}
}

// TestTheNextComparisonWaitsForAsLongAsTheLastSumWasLong: nothing is applied while
// a state is summed up.
func TestTheNextComparisonWaitsForAsLongAsTheLastSumWasLong(t *testing.T) {
	t.Parallel()
	c, begin := newTrio(t, 3), time.Now()
	for _, n := range c.nodes {
		n.adjust = func(o *GroupOptions) {
			o.Times.Compare = time.Hour
			o.Engine.Log.Clock = func() int64 { return int64(time.Since(begin)) }
		}
	}
	c.up(c.nodes...)
	c.mustSend(20, 500)
	g := c.leader().group
	began := time.Now()
	g.comparing.round(g.others())
	took := g.Engine().SumTook()
	if rest := time.Duration(float64(took) / sumShare); took <= 0 || g.comparing.rest.Before(began.Add(rest)) || g.comparing.rest.After(time.Now().Add(rest)) {
		t.Errorf("a sum that took %v is followed by one %v later", took, time.Until(g.comparing.rest))
	}
}
