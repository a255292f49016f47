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
	Brokers  int // names that clients know
	Replicas int // of each message
	// settings are what a node is told besides where its files and ports are.
	settings func(c *Cluster, node int) []string
}

// Topologies are those that there are.
var Topologies = []Topology{
	{Name: "single", Nodes: 1, Brokers: 1, Replicas: 1, settings: func(*Cluster, int) []string { return nil }},
	{Name: "group", Nodes: 3, Brokers: 1, Replicas: 3, settings: groupSettings},
	{Name: "cluster", Nodes: 3, Brokers: 3, Replicas: 3, settings: clusterSettings},
	{Name: MasterSlave, Nodes: 2, Brokers: 1, Replicas: 2, settings: slaveSettings},
}

// MasterSlave is the topology of a master and its slave, where an administrator
// moves leadership.
const MasterSlave = "master-slave"

// slaveSettings make the first node the master and the other its slave, until
// the log says something else.
func slaveSettings(c *Cluster, node int) []string {
	role := "SLAVE"
	if node == 0 {
		role = "SYNC_MASTER"
	}
	return []string{"brokerRole=" + role, fmt.Sprint("brokerId=", node), fmt.Sprint("haListenPort=", c.nodes[node].ports.replication()),
		"namesrvAddr=" + c.otherNameservers(node), "slaveTimeout=1500"}
}

// clusterSettings make a group for each node.
func clusterSettings(c *Cluster, node int) []string {
	return []string{"clusterPeers=" + c.peers(), "clusterSelfId=" + c.nodes[node].Name(), "namesrvAddr=" + c.otherNameservers(node),
		"leaderReturnDelayMs=3000"}
}

// groupSettings make all nodes one quorum group.
func groupSettings(c *Cluster, node int) []string {
	return []string{"enableDLegerCommitLog=true", "dLegerGroup=" + brokerName, "dLegerPeers=" + c.peers(), "dLegerSelfId=" + c.nodes[node].Name(),
		"namesrvAddr=" + c.otherNameservers(node)}
}

// peers are all nodes as the settings name them.
func (c *Cluster) peers() string {
	var list []string
	for _, n := range c.nodes {
		list = append(list, n.Name()+"-"+n.Peer())
	}
	return strings.Join(list, ";")
}

// otherNameservers are those beside a node's own.
func (c *Cluster) otherNameservers(node int) string {
	var list []string
	for _, n := range c.nodes {
		if n.index != node {
			list = append(list, onLoopback(n.ports.nameserver()))
		}
	}
	return strings.Join(list, ";")
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
		"brokerName=" + brokerName,
		fmt.Sprintf("listenPort=%d", n.ports.broker(0)),
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

// brokerName is the name of a broker, or what those of several begin with.
const brokerName = "broker-a"

// Broker is a broker name that clients know, with its replicas.
type Broker struct {
	Name      string
	Addresses []string // where clients reach its replicas
}

// Brokers are the brokers of the cluster, by their numbers.
func (c *Cluster) Brokers() []Broker {
	var list []Broker
	for number := range c.options.Topology.Brokers {
		b := Broker{Name: brokerName}
		if c.options.Topology.Brokers > 1 {
			b.Name += "-" + c.nodes[number].Name()
		}
		for _, n := range c.nodes {
			b.Addresses = append(b.Addresses, fmt.Sprintf("%s:%d", n.host(), n.ports.broker(number)))
		}
		list = append(list, b)
	}
	return list
}
