package admin

import (
	"strings"
	"testing"
)

func TestWhatIsWrongWithAMasterAndItsSlavesIsSaidInASentence(t *testing.T) {
	t.Parallel()
	self := replica{Name: "n0", Self: true, Leader: true, InSync: true}
	good := replica{Name: "n1", InSync: true}
	silent, behind, late := good, good, good
	silent.SilentMsec, silent.InSync = 2001, false
	behind.InSync, behind.LagBytes = false, 5<<20
	late.LagFrames, late.LagBytes = 9, 65<<20
	for name, c := range map[string]struct {
		group replicaGroup
		want  []string
	}{
		"all is well":          {replicaGroup{Leader: "n0", Leads: true, Members: []replica{self, good}, SlavesWanted: 1, SlavesInSync: 1}, nil},
		"a slave's view":       {replicaGroup{Leader: "n0", Members: []replica{self, silent}}, nil},
		"no master":            {replicaGroup{Members: []replica{good}}, []string{"no master: start it, or, if it is gone for good, `apogee admin promote HOST:PORT`"}},
		"a slave is away":      {replicaGroup{Leader: "n0", Leads: true, Members: []replica{self, silent}, SlavesWanted: 1}, []string{"remove-peer n1 --name b", "SLAVE_NOT_AVAILABLE (11)"}},
		"a slave comes up":     {replicaGroup{Leader: "n0", Leads: true, Members: []replica{self, behind}, SlavesWanted: 1}, []string{"5 MiB behind and isn't waited for", "(11)"}},
		"nobody is waited for": {replicaGroup{Leader: "n0", Leads: true, Members: []replica{self, behind}}, nil},
		"a slave is slow":      {replicaGroup{Leader: "n0", Leads: true, Members: []replica{self, late}, SlavesWanted: 1, SlavesInSync: 1}, []string{"FLUSH_SLAVE_TIMEOUT (12)"}},
		"frames are aside":     {replicaGroup{Leader: "n0", Divergent: []string{"folder"}}, []string{"put aside: look at them with `apogee log dump` below divergent/ (folder)"}},
	} {
		g := c.group
		g.Broker, g.MasterSlave = "b", true
		g.diagnose(true)
		if len(g.Problems) != len(c.want) {
			t.Errorf("%s: %q, want %q", name, g.Problems, c.want)
			continue
		}
		for i := range c.want {
			if !strings.Contains(g.Problems[i], c.want[i]) {
				t.Errorf("%s: %q, want %q", name, g.Problems[i], c.want[i])
			}
		}
	}
}
