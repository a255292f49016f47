package cluster

import (
	"fmt"
	"slices"
	"strings"
)

// Topology says what a cluster consists of.
type Topology struct {
	Name     string
	Nodes    int
	Replicas int // of each message
	// settings are what a node is told besides where its files and ports are.
	settings func(c *Cluster, node int) []string
}

// Topologies are those that there are.
var Topologies = []Topology{
	{Name: "single", Nodes: 1, Replicas: 1, settings: func(*Cluster, int) []string { return nil }},
}

// TopologyNamed finds a topology.
func TopologyNamed(name string) (Topology, error) {
	var names []string
	for _, t := range Topologies {
		if t.Name == name {
			return t, nil
		}
		names = append(names, t.Name)
	}
	return Topology{}, fmt.Errorf("topology %q is not allowed: use one of %s", name, strings.Join(names, ", "))
}

// Medium is what a process stores on.
type Medium string

// The media.
const (
	Best     Medium = "best"     // the best I/O path of the machine
	Posix    Medium = "posix"    // plain system calls
	Volatile Medium = "volatile" // what was not synced dies with the process
)

// Media are all of them.
func Media() []Medium { return []Medium{Best, Posix, Volatile} }

// environment makes a process store on the medium.
func (m Medium) environment(seed uint64) []string {
	switch m {
	case Posix:
		return []string{"APOGEE_FAULTS=on", "APOGEE_IO=posix"}
	case Volatile:
		return []string{fmt.Sprintf("APOGEE_FAULTS=volatile:%d", seed), "APOGEE_IO=posix"}
	}
	return []string{"APOGEE_FAULTS=on"}
}

// arguments is the command line of a node.
func (c *Cluster) arguments(node int) []string {
	n := c.nodes[node]
	arguments := []string{"server"}
	for _, pair := range slices.Concat([]string{
		"storePathRootDir=" + n.dataDir(),
		fmt.Sprintf("listenPort=%d", n.ports.broker()),
		fmt.Sprintf("namesrvListenPort=%d", n.ports.nameserver()),
		fmt.Sprintf("adminListenPort=%d", n.ports.admin()),
		"brokerIP1=" + n.host(),
		"flushDiskType=" + c.options.Flush,
		// Small files, so that some faults meet the change from one to the next.
		"mappedFileSizeCommitLog=16777216", "maxMessageSize=65536",
		// How full the machine's disk is must not delete messages.
		"cleanFileForciblyEnable=false", "diskMaxUsedSpaceRatio=95", "fileReservedTime=1000",
	}, c.options.Topology.settings(c, node), c.options.Settings) {
		arguments = append(arguments, "--set", pair)
	}
	return arguments
}

// Broker is a broker name that clients know, with its replicas.
type Broker struct {
	Name string
	// Address is where clients reach the one that takes requests. It may be
	// called at any time.
	Address func() string
}

// Brokers are the brokers of the cluster, by their numbers.
func (c *Cluster) Brokers() []Broker {
	return []Broker{{Name: "broker-a", Address: c.nodes[0].clients.Address}}
}

// Copies are the addresses, past the links, of all replicas of a broker.
func (c *Cluster) Copies(int) []string {
	var list []string
	for _, n := range c.nodes {
		list = append(list, n.Direct())
	}
	return list
}
