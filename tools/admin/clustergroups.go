package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/apogeemq/apogee/server/remoting"
	"github.com/apogeemq/apogee/tools/client"
)

// clusterGroups are the replicated groups of a cluster as each of its nodes runs
// them.
type clusterGroups struct {
	Base     string         `json:"brokerName"` // what their brokers' names begin with
	Nodes    []*clusterNode `json:"nodes"`
	Problems []string       `json:"problems,omitempty"`

	peers []string // the nodes that there should be
}

// clusterNode is what a node answers to GET_GROUPS.
type clusterNode struct {
	Node    string        `json:"node"`
	Address string        `json:"address"` // of one of its brokers
	Groups  []clusterLine `json:"groups"`

	via map[string]string // addresses by broker
}

type clusterLine struct {
	Broker string `json:"broker"`
	Name   string `json:"name"`
	State  string `json:"state"`
	Prefer string `json:"prefer"`
	Leader string `json:"leader"`
	Waits  string `json:"waits,omitempty"`
	Left   int64  `json:"left"`
}

// States of groups, as brokers know them.
const (
	stateOpen    = "open"
	stateDrained = "drained"
	stateRemoved = "removed"
)

// foundTime bounds the wait for the first leader of a new group.
const foundTime = 30 * time.Second

// askClusters asks every broker for the groups of its node.
func askClusters(ctx context.Context, c *client.Cluster, brokers []client.Broker) []*clusterGroups {
	all := map[string]*clusterGroups{}
	for _, b := range brokers {
		for _, id := range slices.SortedFunc(maps.Keys(b.Addresses), compareNumbers) {
			answer, err := c.Call(ctx, b.Addresses[id], client.NewRequest(remoting.RequestGetGroups))
			var list struct {
				clusterNode
				Base  string   `json:"brokerName"`
				Nodes []string `json:"nodes"`
			}
			if err != nil || client.Decode(answer.Body, &list) != nil {
				continue // no node of a cluster, or one that is down
			}
			g := all[list.Base]
			if g == nil {
				g = &clusterGroups{Base: list.Base, peers: list.Nodes}
				all[list.Base] = g
			}
			n := g.node(list.Node)
			if n == nil {
				n = &list.clusterNode
				n.Address, n.via = b.Addresses[id], make(map[string]string)
				g.Nodes = append(g.Nodes, n)
			}
			n.via[b.Name] = b.Addresses[id]
		}
	}
	var sorted []*clusterGroups
	for _, base := range slices.Sorted(maps.Keys(all)) {
		g := all[base]
		slices.SortFunc(g.Nodes, func(a, b *clusterNode) int { return compareNumbers(a.Node, b.Node) })
		g.diagnose()
		sorted = append(sorted, g)
	}
	return sorted
}

func (g *clusterGroups) node(name string) *clusterNode {
	i := slices.IndexFunc(g.Nodes, func(n *clusterNode) bool { return n.Node == name })
	if i < 0 {
		return nil
	}
	return g.Nodes[i]
}

// reach is where to tell the node of a group: at another of its brokers, as that of
// the group may end.
func (n *clusterNode) reach(broker string) string {
	for _, other := range slices.Sorted(maps.Keys(n.via)) {
		if other != broker {
			return n.via[other]
		}
	}
	return n.Address
}

// missing are the nodes that no nameserver knows, or that don't answer.
func (g *clusterGroups) missing() []string {
	return slices.DeleteFunc(slices.Clone(g.peers), func(name string) bool { return g.node(name) != nil })
}

// names of all groups that any node runs.
func (g *clusterGroups) names() []string {
	var all []string
	for _, n := range g.Nodes {
		for _, l := range n.Groups {
			if !slices.Contains(all, l.Name) {
				all = append(all, l.Name)
			}
		}
	}
	slices.SortFunc(all, compareNumbers)
	return all
}

// line is what a node says of a group; its state is removed where it doesn't run
// it.
func (n *clusterNode) line(name string) clusterLine {
	for _, l := range n.Groups {
		if l.Name == name {
			return l
		}
	}
	return clusterLine{Name: name, State: stateRemoved}
}

// diagnose finds what isn't as it should be, and what helps.
func (g *clusterGroups) diagnose() {
	say := func(format string, args ...any) { g.Problems = append(g.Problems, fmt.Sprintf(format, args...)) }
	for _, name := range g.missing() {
		say("node %s is not there: start it, or, if it is gone for good, `apogee admin remove-peer %s --all`; its group is led by another meanwhile", name, name)
	}
	for _, name := range g.names() {
		states := map[string][]string{}
		var any clusterLine
		for _, n := range g.Nodes {
			l := n.line(name)
			states[l.State] = append(states[l.State], n.Node)
			if l.State != stateRemoved {
				any = l
			}
			if l.Waits != "" {
				say("%s on %s: %s", l.Broker, n.Node, l.Waits)
			}
		}
		if len(states) > 1 {
			var parts []string
			for _, state := range slices.Sorted(maps.Keys(states)) {
				parts = append(parts, fmt.Sprintf("%s on %s", state, strings.Join(states[state], ", ")))
			}
			say("%s is %s: repeat the command that was meant for all nodes: `apogee admin add-group %s`, drain-group or remove-group",
				any.Broker, strings.Join(parts, " and "), name)
		}
		if any.Leader != "" && any.Leader != any.Prefer && g.node(any.Prefer) != nil {
			say("%s is led by %s: it goes back to %s after leaderReturnDelayMs, or with `apogee admin transfer %s --name %s`",
				any.Broker, any.Leader, any.Prefer, any.Prefer, any.Broker)
		}
	}
}

func (g *clusterGroups) table(w *tabwriter.Writer) {
	fmt.Fprintln(w, "GROUP\tBROKER\tSTATE\tLEADER\tOWN NODE\tLEFT\t")
	for _, name := range g.names() {
		var l clusterLine
		for _, n := range g.Nodes {
			if at := n.line(name); l.Broker == "" || at.Leader == n.Node {
				l = at // its leader knows best
			}
		}
		left := ""
		if l.State == stateDrained {
			left = fmt.Sprint(l.Left)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t\n", l.Name, l.Broker, l.State, l.Leader, l.Prefer, left)
	}
	for _, p := range g.Problems {
		fmt.Fprintf(w, "! %s\n", p)
	}
}

// clusterCommands change which groups a cluster runs.
func (o *options) clusterCommands() []*cobra.Command {
	force := false
	command := func(use, short, long, state string) *cobra.Command {
		return &cobra.Command{Use: use + " NAME", Short: short, Long: short + ".\n\n" + long, Args: cobra.ExactArgs(1),
			RunE: o.show(func(ctx context.Context, c *client.Cluster, args []string) (view, error) {
				return setGroup(ctx, c, args[0], state, force)
			})}
	}
	remove := command("remove-group", "Remove a drained replicated group from all nodes of a cluster",
		"It must be empty: its messages are consumed or have expired. Its folders stay on the nodes.", stateRemoved)
	remove.Flags().BoolVar(&force, "force", false, "remove it with what is in it")
	return []*cobra.Command{
		command("add-group", "Add a replicated group to all nodes of a cluster, or open one again that was drained",
			"NAME is n and a number, such as n3. The group's ports are listenPort + 10 times that number.", stateOpen),
		command("drain-group", "Have no more messages written to a replicated group of a cluster",
			"Routes no longer name it for producers, once the nameservers have heard of it and clients have asked for\n"+
				"routes again. Consumers go on. `apogee admin add-group` takes it back.", stateDrained),
		remove,
	}
}

// setGroup tells all nodes of a cluster about a group, its leader first.
func setGroup(ctx context.Context, c *client.Cluster, name, state string, force bool) (view, error) {
	g, short, err := findCluster(ctx, c, name)
	if err != nil {
		return nil, err
	}
	nodes := slices.Clone(g.Nodes)
	leads := func(n *clusterNode) int {
		if n.line(short).Leader == n.Node {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(nodes, func(a, b *clusterNode) int { return leads(a) - leads(b) })
	for _, n := range nodes {
		if _, err := c.Call(ctx, n.reach(g.Base+"-"+short), client.NewRequest(remoting.RequestSetGroup,
			"group", short, "state", state, "force", fmt.Sprint(force))); err != nil {
			return nil, fmt.Errorf("%s on node %s: %w; it is safe to repeat the command", name, n.Node, err)
		}
	}
	if missing := g.missing(); len(missing) > 0 {
		err = fmt.Errorf("%s: %s not told, as it isn't there: repeat the command when it runs", name, strings.Join(missing, ", "))
	}
	if state == stateOpen && err == nil {
		err = awaitLeader(ctx, c, g, short)
	}
	after, _, again := findCluster(ctx, c, g.Base+"-"+short)
	if again != nil {
		return nil, errors.Join(err, again)
	}
	return after, err
}

// findCluster is the cluster that a group is of, or would be, and the group's name
// in it. The name may be that of its broker.
func findCluster(ctx context.Context, c *client.Cluster, name string) (g *clusterGroups, short string, err error) {
	brokers, err := c.Brokers(ctx)
	if err != nil {
		return nil, "", err
	}
	all := askClusters(ctx, c, brokers)
	if at := strings.LastIndexByte(name, '-'); at >= 0 {
		base := name[:at]
		name = name[at+1:]
		all = slices.DeleteFunc(all, func(g *clusterGroups) bool { return g.Base != base })
	}
	switch len(all) {
	case 0:
		return nil, "", errors.New("no broker that answers is of a cluster with that name: groups come and go only where nodes have clusterPeers")
	case 1:
		return all[0], name, nil
	}
	return nil, "", fmt.Errorf("there are several clusters: give the whole name of the broker, such as %s-%s", all[0].Base, name)
}

// awaitLeader returns when a group has a leader.
func awaitLeader(ctx context.Context, c *client.Cluster, g *clusterGroups, name string) error {
	again := time.NewTicker(200 * time.Millisecond)
	defer again.Stop()
	late := time.NewTimer(foundTime)
	defer late.Stop()
	for {
		now, _, err := findCluster(ctx, c, g.Base+"-"+name)
		if err != nil {
			return err
		}
		for _, n := range now.Nodes {
			if n.line(name).Leader != "" {
				return nil
			}
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			return ctx.Err()
		case <-late.C:
			return fmt.Errorf("group %s has no leader yet: `apogee admin cluster` tells what it waits for", name)
		}
	}
}
