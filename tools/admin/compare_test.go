package admin

import (
	"strings"
	"testing"

	"github.com/apogeemq/apogee/tools/client"
)

func TestWhatDiffersBetweenReplicasIsSaidInASentence(t *testing.T) {
	t.Parallel()
	at := func(frame, log, offsets string) string {
		return `{"frame":` + frame + `,"log":"` + log + `","parts":[{"name":"queue","sum":"q"},{"name":"offset","sum":"` + offsets + `"}]}`
	}
	for what, c := range map[string]struct {
		answers []string
		want    string
	}{
		"the same":        {[]string{at("7", "aa", "x"), at("7", "aa", "x")}, ""},
		"another state":   {[]string{at("7", "aa", "x"), at("7", "aa", "y")}, "b1 and b0 have made different things of the same log (offset)"},
		"a part is there": {[]string{at("7", "aa", "x"), `{"frame":7,"log":"aa","parts":[{"name":"queue","sum":"q"}]}`}, "(offset)"},
		"another log":     {[]string{at("7", "aa", "x"), at("7", "ab", "y")}, "b1 and b0 have different logs up to frame 7"},
		"another version": {[]string{at("7", "aa", "x"), `{"version":1,"frame":7,"log":"aa","parts":[{"name":"queue","sum":"Q"}]}`}, "b1 and b0 run versions that sum up"},
		"another frame":   {[]string{at("7", "aa", "x"), at("8", "ab", "y")}, "b1 is at frame 8, b0 at frame 7"},
	} {
		g := &groupStates{Broker: "b"}
		for i, answer := range c.answers {
			r := replicaState{Address: []string{"b0", "b1"}[i]}
			if err := client.Decode([]byte(answer), &r); err != nil {
				t.Fatal(err)
			}
			g.Replicas = append(g.Replicas, r)
		}
		g.diagnose()
		if got := strings.Join(g.Problems, "\n"); c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
	g := &groupStates{Broker: "b", Replicas: []replicaState{{Address: "b0"}, {Address: "b1", Problem: "no answer"}}}
	if g.diagnose(); len(g.Problems) != 1 || !strings.Contains(g.Problems[0], "b1 does not tell its state: no answer") {
		t.Errorf("%q", g.Problems)
	}
}

func TestAFrameIsAskedForThatAGroupUnderLoadHasYetToReach(t *testing.T) {
	t.Parallel()
	g := &groupStates{Replicas: []replicaState{{Frame: 100}, {Frame: 95}}}
	if got := g.ahead(140); got != 140+40*5 {
		t.Errorf("frame %d is asked for", got)
	}
	idle := &groupStates{Replicas: []replicaState{{Frame: 100}, {Frame: 101}}}
	if got := idle.ahead(101); got < 101 || got > 110 {
		t.Errorf("frame %d is asked for", got)
	}
}
