package node

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/replication/transport"
	"github.com/apogeemq/apogee/server/remoting"
)

// stateView is the answer to GET_STATE: what this node's projections have made of
// its log up to a frame. Replicas have equal ones after the same frame.
type stateView struct {
	Version uint32     `json:"version"` // of sums: those of others can't be compared
	Frame   uint64     `json:"frame"`
	Log     string     `json:"log"` // checksum of the log up to there
	Parts   []partView `json:"parts"`
}

type partView struct {
	Name string `json:"name"`
	Sum  string `json:"sum"`
}

// showState answers beside the connection's requests: the frame may be some time
// off.
func (r *replicas) showState(rt remoting.ReplyTo, cmd *remoting.Command) {
	at, _ := cmd.Int("frame") // 0: the one that it has come to
	r.run(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, transport.StateTime)
		defer cancel()
		sum, err := r.group.Engine().Sum(ctx, event.Index(max(at, 0)))
		if err != nil {
			rt.Send(&remoting.Reply{Code: remoting.ResponseSystemError, Remark: err.Error()})
			return
		}
		v := stateView{Version: engine.SumVersion, Frame: uint64(sum.Index), Log: fmt.Sprintf("%08x", sum.Chain)}
		for _, p := range sum.Parts {
			v.Parts = append(v.Parts, partView{p.Name, p.Sum})
		}
		body, err := json.Marshal(v)
		if err != nil {
			panic("BUG: sums can't be written: " + err.Error())
		}
		rt.Send(&remoting.Reply{Body: body})
	})
}

// healthView is what happened to this node's copy of the log since its start, and
// what it has found out of others as the leader.
type healthView struct {
	Damages    uint64 `json:"damages"`    // places at which frames were found damaged
	Repaired   uint64 `json:"repaired"`   // frames that were replaced by those of another replica
	Unrepaired uint64 `json:"unrepaired"` // attempts that failed
	// MayLack: the log may lack frames that this node has confirmed, behind Kept,
	// for Cause. It is noted until that is over, however often the node starts.
	MayLack bool   `json:"mayLack"`
	Kept    uint64 `json:"kept,omitempty"`
	Cause   string `json:"cause,omitempty"`
	// Differ are the replicas whose states differ from this leader's after the same
	// frame.
	Differ []differenceView `json:"differ,omitempty"`
}

type differenceView struct {
	Peer  string   `json:"peer"`
	Frame uint64   `json:"frame"`
	Parts []string `json:"parts"` // "log", or projections
}

func (r *replicas) health() healthView {
	log := r.group.Engine().Log()
	s := log.Stats()
	h := healthView{Damages: s.Damages, Repaired: s.Repaired, Unrepaired: s.Unrepaired}
	if loss, is := log.Loss(); is {
		h.MayLack, h.Kept, h.Cause = true, uint64(loss.Kept), loss.Cause.String()
	}
	for _, d := range r.group.Differing() {
		h.Differ = append(h.Differ, differenceView{Peer: d.Called(), Frame: uint64(d.Frame), Parts: d.Parts})
	}
	return h
}
