package admin

import (
	"slices"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/replication"
	"github.com/apogeemq/apogee/tools/client"
)

// replicaHealth is what happened to a node's copy of the log since its start, and
// what it has found out of others as the leader.
type replicaHealth struct {
	Name       string `json:"name"`
	Damages    uint64 `json:"damages"`    // places at which frames were found damaged
	Repaired   uint64 `json:"repaired"`   // frames that were replaced by those of another replica
	Unrepaired uint64 `json:"unrepaired"` // attempts that failed
	MayLack    bool   `json:"mayLack"`    // it may lack what it has confirmed
	Kept       uint64 `json:"kept,omitempty"`
	Cause      string `json:"cause,omitempty"`
	// Differ are the replicas whose states differ from that of this leader.
	Differ []stateDifference `json:"differ,omitempty"`
}

type stateDifference struct {
	Peer  string      `json:"peer"`
	Frame event.Index `json:"frame"`
	Parts []string    `json:"parts"`
}

// decode reads an answer to GET_REPLICAS, in which a node tells of the health of
// its own copy.
func (g *replicaGroup) decode(body []byte) error {
	v := struct {
		*replicaGroup
		Health replicaHealth `json:"health"`
	}{replicaGroup: g}
	if err := client.Decode(body, &v); err != nil {
		return err
	}
	if i := slices.IndexFunc(g.Members, func(m replica) bool { return m.Self }); i >= 0 {
		v.Health.Name = g.Members[i].called()
	}
	g.Health = []replicaHealth{v.Health}
	return nil
}

// diagnoseCopies says what was damaged or may be lost, and what helps.
func (g *replicaGroup) diagnoseCopies(which string) {
	for _, h := range g.Health {
		if h.MayLack {
			cause := "its machine went down before a sync"
			if h.Cause == "damage" {
				cause = "the end of its log could not be read"
			}
			g.say("%s may lack what it has confirmed behind frame %d, as %s, and takes part in no election until it has caught up: start the other nodes; "+
				"if they are gone for good, stop it and `apogee log forgive DIR --force`", h.Name, h.Kept, cause)
		}
		if h.Repaired > 0 {
			g.say("%s had damaged frames at %d places since its start, and got %d from another replica: nobody was shown them; "+
				"look at its disk, and replace it where this happens again", h.Name, h.Damages, h.Repaired)
		}
		if h.Unrepaired > 0 {
			g.say("%s has failed %d times to replace damaged frames since its start: start the other nodes and `apogee log verify DIR` when it is stopped; "+
				"if no other has them, `apogee admin remove-peer %s%s`, empty its folder, and add it again", h.Name, h.Unrepaired, h.Name, which)
		}
		for _, d := range h.Differ {
			g.say("%s. It was found after frame %d; `apogee admin compare %s` looks again",
				replication.Difference{Frame: d.Frame, Parts: d.Parts}.Describe(d.Peer, h.Name), d.Frame, g.Broker)
		}
	}
}
