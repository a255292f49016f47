package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/replication"
	"github.com/apogeemq/apogee/replication/transport"
	"github.com/apogeemq/apogee/server/remoting"
	"github.com/apogeemq/apogee/tools/client"
)

// comparison is what the replicas of groups say of their states.
type comparison []*groupStates

// groupStates are the states of a group's replicas after one frame.
type groupStates struct {
	Broker   string         `json:"broker"`
	Replicas []replicaState `json:"replicas"`
	Problems []string       `json:"problems,omitempty"`
}

// replicaState is what a node answers to GET_STATE.
type replicaState struct {
	ID      string      `json:"id"`
	Address string      `json:"address"`
	Version uint32      `json:"version"` // of the sums
	Frame   uint64      `json:"frame"`
	Log     string      `json:"log"` // checksum of the log up to there
	Parts   []statePart `json:"parts"`
	Problem string      `json:"problem,omitempty"`

	refused bool // by a broker of no group
}

type statePart struct {
	Name string `json:"name"`
	Sum  string `json:"sum"`
}

const (
	// compareAttempts bounds how often a frame is looked for that all come to.
	compareAttempts = 4
	// rateTime is how long a group is watched to guess where it is in a second.
	rateTime = 200 * time.Millisecond
)

var errReplicasDiffer = errors.New("replicas differ")

func (o *options) compareCommand() *cobra.Command {
	return &cobra.Command{
		Use: "compare [BROKER]", Short: "Compare what the replicas of a group have made of their log", Args: cobra.MaximumNArgs(1),
		Long: "Compare what the replicas of each group, or of one, have made of their log: each sums up its log and its\n" +
			"state after the same frame, while it works. Fails if they differ, or can't be compared.",
		RunE: o.show(func(ctx context.Context, c *client.Cluster, args []string) (view, error) {
			brokers, err := c.Brokers(ctx)
			if err != nil {
				return nil, err
			}
			var v comparison
			var failed error
			for i := range brokers {
				if len(args) > 0 && brokers[i].Name != args[0] {
					continue
				}
				g := compareGroup(ctx, c, &brokers[i])
				if g == nil {
					continue
				}
				v = append(v, g)
				if len(g.Problems) > 0 {
					failed = errReplicasDiffer
				}
			}
			if len(v) == 0 {
				return nil, errors.New("no broker of a replicated group answers")
			}
			return v, failed
		}),
	}
}

// compareGroup is nil for a broker of no group.
func compareGroup(ctx context.Context, c *client.Cluster, b *client.Broker) *groupStates {
	g := &groupStates{Broker: b.Name}
	for range compareAttempts {
		g.Replicas = askStates(ctx, c, b, 0)
		if slices.ContainsFunc(g.Replicas, func(r replicaState) bool { return r.refused }) {
			return nil
		}
		if g.even() {
			break
		}
		if silent := slices.ContainsFunc(g.Replicas, func(r replicaState) bool { return r.Problem != "" }); silent {
			continue
		}
		g.Replicas = askStates(ctx, c, b, g.ahead(askFrame(ctx, c, g.Replicas[0].Address)))
		if g.even() {
			break
		}
	}
	g.diagnose()
	return g
}

// even reports whether all replicas have answered for one frame.
func (g *groupStates) even() bool {
	return !slices.ContainsFunc(g.Replicas, func(r replicaState) bool { return r.Problem != "" || r.Frame != g.Replicas[0].Frame })
}

// ahead is a frame that all come to about a second from now, as far as can be
// told from where the first of them is rateTime later.
func (g *groupStates) ahead(later uint64) uint64 {
	last := later
	for _, r := range g.Replicas {
		last = max(last, r.Frame)
	}
	return last + (later-min(later, g.Replicas[0].Frame))*uint64(time.Second/rateTime)
}

// askFrame is the frame that a replica has come to a moment later, 0 where it
// doesn't say.
func askFrame(ctx context.Context, c *client.Cluster, address string) uint64 {
	wait := time.NewTimer(rateTime)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done():
	}
	return askStateAt(ctx, c, address, 0).Frame
}

// askStates asks all replicas of a group at once.
func askStates(ctx context.Context, c *client.Cluster, b *client.Broker, frame uint64) []replicaState {
	ids := slices.SortedFunc(maps.Keys(b.Addresses), compareNumbers)
	all := make([]replicaState, len(ids))
	var asking sync.WaitGroup
	for i, id := range ids {
		asking.Go(func() {
			all[i] = askStateAt(ctx, c, b.Addresses[id], frame)
			all[i].ID, all[i].Address = id, b.Addresses[id]
		})
	}
	asking.Wait()
	return all
}

func askStateAt(ctx context.Context, c *client.Cluster, address string, frame uint64) (s replicaState) {
	request := client.NewRequest(remoting.RequestGetState, "frame", strconv.FormatUint(frame, 10))
	answer, err := c.AskLong(ctx, address, request, transport.StateTime)
	switch {
	case err == nil && answer.Code == remoting.ResponseRequestCodeNotSupported:
		s.refused = true
	case err == nil && answer.Code != remoting.ResponseSuccess:
		err = &client.Refusal{Address: address, Code: answer.Code, Remark: string(answer.Remark)}
	case err == nil:
		err = client.Decode(answer.Body, &s)
	}
	if err != nil {
		s.Problem = err.Error()
	}
	return s
}

// diagnose says what differs, and what helps.
func (g *groupStates) diagnose() {
	say := func(format string, args ...any) { g.Problems = append(g.Problems, fmt.Sprintf(format, args...)) }
	first := &g.Replicas[0]
	for i := range g.Replicas {
		r := &g.Replicas[i]
		switch {
		case r.Problem != "":
			say("%s does not tell its state: %s", r.Address, r.Problem)
		case first.Problem != "":
		case r.Frame != first.Frame:
			say("%s is at frame %d, %s at frame %d, and they were not found at the same one: wait until `apogee admin cluster` shows no lag and repeat the command",
				r.Address, r.Frame, first.Address, first.Frame)
		case r.Version != first.Version:
			say("%s and %s run versions that sum up their states in different ways: repeat the command when all nodes run the same", r.Address, first.Address)
		default:
			if d := r.difference(first); len(d.Parts) > 0 {
				say("%s", d.Describe(r.Address, first.Address))
			}
		}
	}
}

// difference is between two states after the same frame.
func (r *replicaState) difference(other *replicaState) replication.Difference {
	mine, theirs := r.sum(), other.sum()
	return replication.Difference{Frame: mine.Index, Parts: mine.Differing(&theirs)}
}

func (r *replicaState) sum() engine.Sum {
	chain, _ := strconv.ParseUint(r.Log, 16, 32) // what no node writes counts as nothing
	s := engine.Sum{Index: event.Index(r.Frame), Chain: uint32(chain)}
	for _, p := range r.Parts {
		s.Parts = append(s.Parts, engine.PartSum(p))
	}
	return s
}

func (all comparison) table(w *tabwriter.Writer) {
	fmt.Fprintln(w, "BROKER\tID\tADDRESS\tFRAME\tLOG\tSTATE\t")
	for _, g := range all {
		for i := range g.Replicas {
			r := &g.Replicas[i]
			first := &g.Replicas[0]
			state := "same"
			switch {
			case r.Problem != "":
				state = "?"
			case r.Frame != first.Frame || r.Version != first.Version:
				state = "not compared"
			case len(r.difference(first).Parts) > 0:
				state = "differs"
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t\n", g.Broker, r.ID, r.Address, r.Frame, r.Log, state)
		}
		for _, p := range g.Problems {
			fmt.Fprintf(w, "! %s: %s\n", g.Broker, p)
		}
	}
}
