package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/apogeemq/apogee/server/remoting"
	"github.com/apogeemq/apogee/tools/client"
)

// replicaGroup is what a broker of a replicated group tells of it.
type replicaGroup struct {
	Broker  string    `json:"broker"`
	Leads   bool      `json:"leads"` // the broker that was asked
	Term    uint64    `json:"term"`
	Leader  string    `json:"leader"`
	Members []replica `json:"members"`
	// Of a master and its slaves.
	MasterSlave  bool     `json:"masterSlave,omitempty"`
	SlavesWanted int      `json:"slavesWanted,omitempty"`
	SlavesInSync int      `json:"slavesInSync,omitempty"`
	Divergent    []string `json:"divergent,omitempty"` // put aside at the broker that was asked
	// Health of the copies of the log, of those nodes that answer.
	Health []replicaHealth `json:"health,omitempty"`
	// Problems say in a sentence what is wrong, and what helps.
	Problems []string `json:"problems,omitempty"`
}

type replica struct {
	Name       string `json:"name"`
	ID         string `json:"id"`
	Address    string `json:"address"`
	Service    string `json:"service"`
	Self       bool   `json:"self"`
	Voter      bool   `json:"voter"`
	InSync     bool   `json:"inSync"`
	Leader     bool   `json:"leader"`
	Match      uint64 `json:"match"`
	LagFrames  uint64 `json:"lagFrames"`
	LagBytes   int64  `json:"lagBytes"`
	SilentMsec int64  `json:"silentMsec"`
}

// silentMax is the silence of a replica that is worth a word, lagMax its lag.
const (
	silentMax = 2 * time.Second
	lagMax    = 64 << 20
)

// askGroup asks the brokers of one name for their group: the master, or the
// first that answers, for the group, all of them for their own copies. It is nil
// where they have none, or where nobody answers, which shows elsewhere.
func askGroup(ctx context.Context, c *client.Cluster, b *client.Broker) *replicaGroup {
	var first *replicaGroup
	for _, id := range slices.SortedFunc(maps.Keys(b.Addresses), compareNumbers) {
		g, err := groupAt(ctx, c, b.Addresses[id])
		if client.IsRefusal(err, remoting.ResponseRequestCodeNotSupported) {
			return nil
		}
		if err != nil {
			continue
		}
		if first == nil {
			first = g
			first.Broker = b.Name
			continue
		}
		first.Health = append(first.Health, g.Health...)
	}
	return first
}

func (g *replicaGroup) say(format string, args ...any) {
	g.Problems = append(g.Problems, fmt.Sprintf(format, args...))
}

// diagnose finds what keeps sends from being confirmed, or soon may. Where there
// are several groups a command has to name the one that is meant.
func (g *replicaGroup) diagnose(several bool) {
	which := ""
	if several {
		which = " --name " + g.Broker
	}
	g.diagnoseCopies(which)
	if g.MasterSlave {
		g.diagnoseSlaves(which)
		return
	}
	say := g.say
	if g.Leader == "" {
		say("no leader: a majority of the voters must be running and reach each other; nothing is stored until then")
		return
	}
	if !g.Leads {
		return // the others are known to the leader
	}
	voters, good := 0, 0
	for i := range g.Members {
		m := &g.Members[i]
		if m.Voter {
			voters++
		}
		silent := time.Duration(m.SilentMsec) * time.Millisecond
		switch {
		case m.SilentMsec < 0 || silent > silentMax:
			say("%s does not answer: start it, or, if it is gone for good, `apogee admin remove-peer %s%s`", m.called(), m.called(), which)
		case m.LagBytes > lagMax:
			say("%s is %d MiB behind and catching up; maxHaTransferByteInSecond limits how fast", m.called(), m.LagBytes>>20)
		case !m.Voter:
			say("%s has no vote yet: `apogee admin add-peer %s%s` gives it one when it has caught up", m.called(), m.Address, which)
		default:
			good++
		}
	}
	if voters > 1 && good <= voters/2 {
		say("only %d of %d voters keep up: sends are answered with FLUSH_SLAVE_TIMEOUT (12) or refused until a majority does", good, voters)
	}
	if voters == 2 {
		say("two voters survive no failure: `apogee admin add-peer HOST:PORT%s` adds a third", which)
	}
}

func (r *replica) called() string {
	if r.Name != "" {
		return r.Name
	}
	return r.Address
}

func (g *replicaGroup) table(w *tabwriter.Writer) {
	fmt.Fprintln(w, "BROKER\tNODE\tROLE\tTERM\tREPLICATION\tCLIENTS\tFRAME\tLAG\tSILENT MS\t")
	for i := range g.Members {
		m := &g.Members[i]
		role := "follower"
		switch {
		case g.MasterSlave && m.Leader:
			role = "master"
		case g.MasterSlave && (m.InSync || !g.Leads):
			role = "slave"
		case g.MasterSlave:
			role = "slave, not in sync"
		case m.Leader:
			role = "leader"
		case !m.Voter:
			role = "learner"
		}
		silent := fmt.Sprint(m.SilentMsec)
		if m.SilentMsec < 0 {
			silent = "?"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t%s\t%d\t%d\t%s\t\n", g.Broker, m.called(), role, g.Term, m.Address, m.Service, m.Match, m.LagFrames, silent)
	}
	for _, p := range g.Problems {
		fmt.Fprintf(w, "! %s: %s\n", g.Broker, p)
	}
}

// groupCommands change a group.
func (o *options) groupCommands() []*cobra.Command {
	var name string
	var all bool
	command := func(use, short string, arguments cobra.PositionalArgs, code int32) *cobra.Command {
		cmd := &cobra.Command{Use: use, Short: short, Args: arguments,
			RunE: o.show(func(ctx context.Context, c *client.Cluster, args []string) (view, error) {
				peer := ""
				if len(args) > 0 {
					peer = args[0]
				}
				return changeGroups(ctx, c, name, all, code, peer)
			})}
		cmd.Flags().StringVar(&name, "name", "", "broker `name` of the group, where there are several")
		cmd.Flags().BoolVar(&all, "all", false, "do it in all groups, one after the other")
		return cmd
	}
	return []*cobra.Command{
		command("add-peer HOST:PORT", "Add a node to a replicated group, by its address for replication", cobra.ExactArgs(1), remoting.RequestAddReplica),
		command("remove-peer NAME|HOST:PORT", "Remove a node from a replicated group", cobra.ExactArgs(1), remoting.RequestRemoveReplica),
		o.promoteCommand(),
		command("transfer [NAME]", "Give the leadership of a replicated group to another node", cobra.MaximumNArgs(1), remoting.RequestTransferLeadership),
	}
}

// changeTime is how long a new replica may take to catch up.
const changeTime = time.Hour

// changeGroups has the leader of a group change it, or those of all groups.
func changeGroups(ctx context.Context, c *client.Cluster, name string, all bool, code int32, peer string) (view, error) {
	brokers, err := c.Brokers(ctx)
	if err != nil {
		return nil, err
	}
	var found []client.Broker
	for _, b := range brokers {
		if b.Master() != "" && (name == "" || b.Name == name) {
			found = append(found, b)
		}
	}
	switch {
	case len(found) == 0 && name != "":
		return nil, fmt.Errorf("no broker of the name %q has a master", name)
	case len(found) == 0:
		return nil, errors.New("no broker has a master")
	case len(found) > 1 && !all:
		return nil, errors.New("there are several brokers: say with --name which one is meant, or --all")
	}
	v := &brokersChanged{}
	for _, b := range found {
		g, err := changeGroup(ctx, c, b, code, peer)
		if err != nil {
			return v, fmt.Errorf("group %s: %w", b.Name, err)
		}
		g.diagnose(all)
		if !all {
			return g, nil
		}
		*v = append(*v, g)
	}
	return v, nil
}

// brokersChanged are the groups after a change.
type brokersChanged []*replicaGroup

func (b brokersChanged) table(w *tabwriter.Writer) {
	for i, g := range b {
		if i > 0 {
			fmt.Fprintln(w)
		}
		g.table(w)
	}
}

func changeGroup(ctx context.Context, c *client.Cluster, b client.Broker, code int32, peer string) (*replicaGroup, error) {
	answer, err := c.AskLong(ctx, b.Master(), client.NewRequest(code, "peer", peer), changeTime)
	if err != nil {
		return nil, err
	}
	if answer.Code != remoting.ResponseSuccess {
		return nil, &client.Refusal{Address: b.Master(), Code: answer.Code, Remark: string(answer.Remark)}
	}
	g := &replicaGroup{Broker: b.Name}
	return g, g.decode(answer.Body)
}
