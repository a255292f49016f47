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
