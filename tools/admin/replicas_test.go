package admin

import (
	"strings"
	"testing"
)

func TestWhatIsWrongWithAGroupIsSaidInASentence(t *testing.T) {
	t.Parallel()
	good := func(name string) replica { return replica{Name: name, Address: name + ":1", Voter: true} }
	silent, late, learner := good("n2"), good("n2"), good("n2")
	silent.SilentMsec, late.LagBytes, learner.Voter = -1, 1<<30, false
	for _, c := range []struct {
		leader  string
		leads   bool
		members []replica
		want    []string
	}{
		{"n0", true, []replica{good("n0"), good("n1"), good("n2")}, nil},
		{"n0", true, []replica{good("n0"), good("n1"), silent}, []string{"n2 does not answer: start it, or"}},
		{"n0", true, []replica{good("n0"), silent, silent}, []string{"n2 does not answer", "n2 does not answer", "only 1 of 3 voters keep up"}},
		{"n0", true, []replica{good("n0"), good("n1"), late}, []string{"n2 is 1024 MiB behind"}},
		{"n0", true, []replica{good("n0"), good("n1"), good("n3"), learner}, []string{"n2 has no vote yet: `apogee admin add-peer n2:1`"}},
		{"n0", true, []replica{good("n0"), good("n1")}, []string{"two voters survive no failure"}},
		{"n0", false, []replica{good("n0"), silent, silent}, nil},
		{"", false, []replica{good("n0"), silent, silent}, []string{"no leader: a majority"}},
	} {
		g := &replicaGroup{Broker: "b", Leader: c.leader, Leads: c.leads, Members: c.members}
		g.diagnose(false)
		if len(g.Problems) != len(c.want) {
			t.Errorf("%+v: %q, want %q", c.members, g.Problems, c.want)
			continue
		}
		for i := range c.want {
			if !strings.Contains(g.Problems[i], c.want[i]) {
				t.Errorf("%q, want %q", g.Problems[i], c.want[i])
			}
		}
	}
}

func TestWhatHappenedToACopyOfTheLogIsSaidWithWhatHelps(t *testing.T) {
	t.Parallel()
	g := &replicaGroup{Broker: "b"}
	if err := g.decode([]byte(`{"leader":"n0","leads":true,"members":[{"name":"n0","voter":true},{"name":"n1","voter":true,"self":true},{"name":"n3","voter":true}],
		"health":{"damages":2,"repaired":3,"unrepaired":1,"mayLack":true,"kept":17,"cause":"power"}}`)); err != nil {
		t.Fatal(err)
	}
	g.diagnose(true)
	for i, want := range []string{
		"n1 may lack what it has confirmed behind frame 17, as its machine went down before a sync",
		"n1 had damaged frames at 2 places since its start, and got 3",
		"n1 has failed 1 times to replace damaged frames since its start",
	} {
		if i >= len(g.Problems) || !strings.Contains(g.Problems[i], want) {
			t.Errorf("%q, want %q", g.Problems, want)
		}
	}
	if !strings.Contains(strings.Join(g.Problems, " "), "`apogee admin remove-peer n1 --name b`") {
		t.Errorf("%q names no command for the group", g.Problems)
	}
	well := &replicaGroup{Broker: "b", Leader: "n0", Health: []replicaHealth{{Name: "n0"}}}
	well.diagnose(false)
	if len(well.Problems) > 0 {
		t.Errorf("nothing happened: %q", well.Problems)
	}
}

func TestReplicasThatDifferAreNamedWithWhatHelps(t *testing.T) {
	t.Parallel()
	for parts, want := range map[string]string{
		`["offset","waiting"]`: "n2 and n0 have made different things of the same log (offset, waiting): please report it",
		`["log"]`:              "n2 and n0 have different logs up to frame 9: keep both folders",
	} {
		g := &replicaGroup{Broker: "b-n1"}
		if err := g.decode([]byte(`{"leader":"n0","leads":true,"members":[{"name":"n0","voter":true,"self":true},{"name":"n1","voter":true},{"name":"n2","voter":true}],
			"health":{"differ":[{"peer":"n2","frame":9,"parts":` + parts + `}]}}`)); err != nil {
			t.Fatal(err)
		}
		g.diagnose(true)
		if len(g.Problems) != 1 || !strings.Contains(g.Problems[0], want) || !strings.Contains(g.Problems[0], "`apogee admin compare b-n1`") {
			t.Errorf("%q, want %q", g.Problems, want)
		}
	}
}
