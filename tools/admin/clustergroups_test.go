package admin

import (
	"strings"
	"testing"
)

func TestACommandNamesTheGroupWhereThereAreSeveral(t *testing.T) {
	t.Parallel()
	g := &replicaGroup{Broker: "b-n1", Leader: "n0", Leads: true, Members: []replica{
		{Name: "n0", Voter: true}, {Name: "n1", Voter: true}, {Name: "n2", Voter: true, SilentMsec: -1}}}
	g.diagnose(true)
	if len(g.Problems) != 1 || !strings.Contains(g.Problems[0], "`apogee admin remove-peer n2 --name b-n1`") {
		t.Errorf("got %q", g.Problems)
	}
}

func TestWhatIsWrongWithAClusterIsSaidInASentence(t *testing.T) {
	t.Parallel()
	line := func(name, state, leader string) clusterLine {
		return clusterLine{Broker: "b-" + name, Name: name, State: state, Prefer: name, Leader: leader}
	}
	node := func(name string, lines ...clusterLine) *clusterNode { return &clusterNode{Node: name, Groups: lines} }
	both := []clusterLine{line("n0", stateOpen, "n0"), line("n1", stateOpen, "n1")}
	waiting := line("n1", stateOpen, "")
	waiting.Waits = "starting: reading the log"
	for what, c := range map[string]struct {
		nodes []*clusterNode
		want  []string
	}{
		"nothing":             {[]*clusterNode{node("n0", both...), node("n1", both...)}, nil},
		"a node is down":      {[]*clusterNode{node("n0", line("n0", stateOpen, "n0"), line("n1", stateOpen, "n0"))}, []string{"node n1 is not there"}},
		"one led elsewhere":   {[]*clusterNode{node("n0", both[0], line("n1", stateOpen, "n0")), node("n1", both[0], line("n1", stateOpen, "n0"))}, []string{"b-n1 is led by n0: it goes back to n1"}},
		"drained in part":     {[]*clusterNode{node("n0", both...), node("n1", both[0], line("n1", stateDrained, "n1"))}, []string{"b-n1 is drained on n1 and open on n0: repeat"}},
		"one was not told":    {[]*clusterNode{node("n0", both...), node("n1", both[0])}, []string{"b-n1 is open on n0 and removed on n1"}},
		"one waits for peers": {[]*clusterNode{node("n0", both[0], waiting), node("n1", both[0], waiting)}, []string{"b-n1 on n0: starting", "b-n1 on n1: starting"}},
	} {
		g := &clusterGroups{Base: "b", Nodes: c.nodes, peers: []string{"n0", "n1"}}
		g.diagnose()
		if len(g.Problems) != len(c.want) {
			t.Errorf("%s: %q, want %q", what, g.Problems, c.want)
			continue
		}
		for i := range c.want {
			if !strings.Contains(g.Problems[i], c.want[i]) {
				t.Errorf("%s: %q, want %q", what, g.Problems[i], c.want[i])
			}
		}
	}
}
