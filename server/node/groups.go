package node

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/server/broker"
)

// groupState is what an operator has decided about a group of a cluster.
type groupState string

// The states of groups. One that isn't named in the file is open when it is one
// of clusterPeers.
const (
	groupOpen    groupState = "open"
	groupDrained groupState = "drained" // no client is told to write to it
	groupRemoved groupState = "removed" // it isn't run; its folder stays
)

// groupStates are those that differ from what clusterPeers says, by the name of
// the group (n3). They are kept on each node, in the file groups below the first
// folder of storePathRootDir, with a line NAME=STATE for each: an operator's
// command writes it on all of them. A group is founded only when each of its
// nodes knows it, so one that wasn't told is missed and not passed over.
type groupStates map[string]groupState

const (
	groupStatesName     = "groups"
	groupStatesBytesMax = 1 << 16
	groupsMax           = 1024
)

// readGroupStates is empty where there is no file.
func readGroupStates(dir string) (groupStates, error) {
	if !exists(filepath.Join(dir, groupStatesName)) {
		return groupStates{}, nil
	}
	d, err := disk.OpenPosix(dir)
	if err != nil {
		return nil, err
	}
	text, err := disk.ReadWhole(d, groupStatesName, groupStatesBytesMax)
	if err != nil {
		return nil, fmt.Errorf("read the groups of the cluster: %w", err)
	}
	states, err := parseGroupStates(string(text))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", filepath.Join(dir, groupStatesName), err)
	}
	return states, nil
}

func parseGroupStates(text string) (groupStates, error) {
	states := groupStates{}
	for line := range strings.Lines(text) {
		name, state, _ := strings.Cut(strings.TrimSpace(line), "=")
		if err := checkGroupState(name, groupState(state)); err != nil {
			return nil, err
		}
		states[name] = groupState(state)
	}
	return states, nil
}

// text is what the file holds.
func (g groupStates) text() string {
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(g)) {
		fmt.Fprintf(&text, "%s=%s\n", name, g[name])
	}
	return text.String()
}

func checkGroupState(name string, state groupState) error {
	if !selfName.MatchString(name) {
		return fmt.Errorf("%q is no name of a group: use n and a number, such as n3", name)
	}
	if state != groupOpen && state != groupDrained && state != groupRemoved {
		return fmt.Errorf("%q is no state of a group: use %s, %s or %s", state, groupOpen, groupDrained, groupRemoved)
	}
	return nil
}

// with are the states with one changed.
func (g groupStates) with(name string, state groupState) groupStates {
	next := maps.Clone(g)
	next[name] = state
	return next
}

func (g groupStates) write(dir string) error {
	d, err := disk.OpenPosix(dir)
	if err != nil {
		return err
	}
	return disk.WriteWhole(d, groupStatesName, []byte(g.text()))
}

// groups are the configurations of a cluster's groups that the process runs.
func (c *Config) groups(states groupStates) []Config {
	names := map[string]groupState{}
	for _, p := range c.Replication.ClusterPeers {
		names[p.Name] = groupOpen
	}
	maps.Copy(names, states)
	var all []Config
	for _, name := range slices.SortedFunc(maps.Keys(names), func(a, b string) int { return shardNumber(a) - shardNumber(b) }) {
		if names[name] == groupRemoved {
			continue
		}
		s := c.shard(name)
		if names[name] == groupDrained {
			s.BrokerPermission &^= broker.PermissionWrite
		}
		all = append(all, s)
	}
	return all
}

var (
	errNoCluster  = errors.New("groups come and go in a cluster only: this node has no clusterPeers")
	errNotDrained = errors.New("it takes messages: drain it first")
	errUnfinished = errors.New("it isn't empty")
)

// setGroup does what an operator has decided about a group, now and at each
// start to come. A group that is removed must be drained, and empty unless
// forced: consumed or expired. Its leader checks that, so it is told first.
func (n *Node) setGroup(name string, state groupState, force bool) error {
	if err := checkGroupState(name, state); err != nil {
		return err
	}
	if len(n.config.Replication.ClusterPeers) == 0 {
		return errNoCluster
	}
	n.changing.Lock()
	defer n.changing.Unlock()
	if n.stops {
		return errNotServing
	}
	s := n.hosted(n.config.shard(name).BrokerName)
	if state == groupRemoved && s != nil && !force {
		if err := s.removable(); err != nil {
			return fmt.Errorf("remove group %s: %w", name, err)
		}
	}
	next := n.states.with(name, state)
	if len(next) > groupsMax {
		return fmt.Errorf("set group %s: a cluster has %d groups at most", name, groupsMax)
	}
	if s == nil && state != groupRemoved {
		return n.addGroup(name, next)
	}
	if err := n.keepStates(next); err != nil || s == nil {
		return err
	}
	switch state {
	case groupOpen:
		s.permit(n.config.BrokerPermission)
	case groupDrained:
		s.permit(n.config.BrokerPermission &^ broker.PermissionWrite)
	case groupRemoved:
		n.drop(s)
		n.run(func(context.Context) { n.retire(s) }) // whoever asked for it may be one of its clients
	}
	n.log.Info("a group was changed", "group", s.config.BrokerName, "state", state)
	return nil
}

// retire closes a shard while the others go on.
func (n *Node) retire(s *shard) {
	ctx, cancel := context.WithTimeout(context.Background(), n.config.ShutdownTime)
	defer cancel()
	if err := s.close(ctx); err != nil {
		n.log.Error("a group was removed, and not in order", "cause", err)
	}
}

// keepStates remembers the states; changing is held.
func (n *Node) keepStates(next groupStates) error {
	if err := next.write(n.config.StoreDir); err != nil {
		return fmt.Errorf("keep the groups of the cluster: %w; nothing was changed", err)
	}
	n.states = next
	return nil
}

// addGroup begins a group that this node doesn't run yet. Its ports are open when
// it returns; the rest takes until all nodes know the group.
func (n *Node) addGroup(name string, next groupStates) error {
	all := n.config.groups(next)
	want := n.config.shard(name).BrokerName
	i := slices.IndexFunc(all, func(c Config) bool { return c.BrokerName == want })
	if all[i].BrokerPort > 65535 {
		return fmt.Errorf("add group %s: it would have the port %d, and there is none", name, all[i].BrokerPort)
	}
	s := newShard(n, all[i])
	err := s.listen()
	if err == nil {
		err = n.keepStates(next)
	}
	if err != nil {
		s.closeListeners()
		return fmt.Errorf("add group %s: %w", name, err)
	}
	s.serveListeners()
	n.host(s)
	s.run(func(ctx context.Context) {
		if err := s.start(ctx); err != nil && ctx.Err() == nil {
			s.waitsFor("it could not be started: " + err.Error())
			s.log.Error("a group that was added could not be started; restart the process when the cause is gone", "cause", err)
		}
	})
	n.log.Info("a group was added", "group", want, "listens", s.address)
	return nil
}

// hosted is the shard of a broker's name, nil for none.
func (n *Node) hosted(brokerName string) *shard {
	for _, s := range n.hostedShards() {
		if s.config.BrokerName == brokerName {
			return s
		}
	}
	return nil
}

// hostedShards are all at present.
func (n *Node) hostedShards() []*shard {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.shards)
}

func (n *Node) host(s *shard) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.shards = append(n.shards, s)
}

func (n *Node) drop(s *shard) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.shards = slices.DeleteFunc(n.shards, func(other *shard) bool { return other == s })
}

// permit changes what clients may do with the broker.
func (s *shard) permit(permission int) {
	s.permission.Store(int32(permission))
	if s.serving() {
		s.broker.Permit(permission)
	}
}

// removable says why the group's messages are still needed. Only the leader knows:
// what another has applied may lack the last ones.
func (s *shard) removable() error {
	if s.permission.Load()&broker.PermissionWrite != 0 {
		return errNotDrained
	}
	if !s.serving() {
		return errNotServing
	}
	if !s.replica.Role().Leads {
		return nil
	}
	if left := s.broker.Unfinished(); left != (broker.Unfinished{}) {
		return fmt.Errorf("%w: %d messages wait for a consumer, and %d for their time or for the outcome of their transaction; "+
			"wait until they are consumed or have expired, or force it and lose them", errUnfinished, left.Unconsumed, left.Waiting)
	}
	return nil
}
