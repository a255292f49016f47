package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/apogeemq/apogee/bench/chaos/link"
)

// Options describe a cluster.
type Options struct {
	Dir       string // of data and logs; it exists
	Binary    string // path of apogee
	Topology  Topology
	Flush     string   // flushDiskType
	Settings  []string // key=value, added for all nodes
	FirstPort int      // of the ports that are taken; 0 finds free ones
	Plain     bool     // no links, and processes that can't be broken from outside
	// Died is called when a process ends that nobody ended.
	Died func(node int, cause error)
}

// Cluster is a set of nodes. Its methods may be called by one goroutine at a
// time, but for those that say so.
type Cluster struct {
	options Options
	nodes   []*Node
}

// Open prepares a cluster: ports and links. No process runs yet.
func Open(o Options) (*Cluster, error) {
	c := &Cluster{options: o}
	for i := range o.Topology.Nodes {
		n := &Node{cluster: c, index: i}
		c.nodes = append(c.nodes, n)
		if err := errors.Join(os.MkdirAll(n.dataDir(), 0o755), n.openLinks()); err != nil {
			return nil, errors.Join(fmt.Errorf("open cluster: %w", err), c.Close())
		}
	}
	return c, nil
}

// Nodes are all nodes.
func (c *Cluster) Nodes() []*Node { return c.nodes }

// Topology is what the cluster consists of.
func (c *Cluster) Topology() Topology { return c.options.Topology }

// Flush is the cluster's flushDiskType.
func (c *Cluster) Flush() string { return c.options.Flush }

// Nameservers is the list that clients are given. It may be called at any time.
func (c *Cluster) Nameservers() []string {
	var list []string
	for _, n := range c.nodes {
		list = append(list, fmt.Sprintf("%s:%d", n.host(), n.ports.nameserver()))
	}
	return list
}

// Start starts all processes and waits until they serve.
func (c *Cluster) Start(ctx context.Context, medium func() (Medium, uint64)) error {
	for _, n := range c.nodes {
		m, seed := medium()
		if err := n.Launch(m, seed); err != nil {
			return err
		}
	}
	for _, n := range c.nodes {
		if err := n.AwaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Heal makes all links whole.
func (c *Cluster) Heal() {
	for _, n := range c.nodes {
		for _, l := range n.all() {
			l.Refuse(false)
			l.Set(link.Condition{}, link.Condition{})
		}
	}
}

// Close kills what runs and closes the links.
func (c *Cluster) Close() error {
	var err error
	for _, n := range c.nodes {
		err = errors.Join(err, n.Kill())
		for _, l := range n.all() {
			l.Close()
		}
	}
	return err
}

// Complaints are lines of the logs that no fault excuses.
func (c *Cluster) Complaints() ([]string, error) {
	var found []string
	for _, n := range c.nodes {
		log, err := os.ReadFile(n.logPath())
		if err != nil {
			return nil, fmt.Errorf("read the log of node %d: %w", n.index, err)
		}
		for line := range strings.Lines(string(log)) {
			for _, word := range []string{"BUG:", "panic:", "DATA RACE", "fatal error:"} {
				if strings.Contains(line, word) {
					found = append(found, fmt.Sprintf("node %d: %s", n.index, strings.TrimSpace(line)))
				}
			}
		}
	}
	return found, nil
}
