package cluster

import (
	"fmt"
	"strings"

	"github.com/apogeemq/apogee/bench/chaos/link"
)

// links are the ways to a node: those of clients, by where they lead, and those
// of each other node.
type links struct {
	brokers []*link.Link // by the broker's number
	names   *link.Link
	peers   map[int][]*link.Link // by the node that connects
}

// Outside are the links between clients and the node.
func (n *Node) Outside() []*link.Link {
	return append(n.links.brokers[:len(n.links.brokers):len(n.links.brokers)], n.links.names)
}

// From are the links that lead from another node to this one: for replication,
// for requests that are passed on, and to the nameserver.
func (n *Node) From(other *Node) []*link.Link { return n.links.peers[other.index] }

// all are all links to the node, also of one that is not complete.
func (n *Node) all() []*link.Link {
	list := append([]*link.Link(nil), n.links.brokers...)
	if n.links.names != nil {
		list = append(list, n.links.names)
	}
	for _, some := range n.links.peers {
		list = append(list, some...)
	}
	return list
}

// openLinks finds ports and opens the links to them.
func (n *Node) openLinks() error {
	const tries = 20
	var err error
	for range tries {
		if n.ports, err = freePorts(n.cluster.options.FirstPort, n.index, n.host()); err != nil {
			return err
		}
		if err = n.listen(); err == nil {
			return nil
		}
		for _, l := range n.all() {
			l.Close()
		}
	}
	return err
}

func (n *Node) listen() error {
	n.links = links{peers: map[int][]*link.Link{}}
	if n.cluster.options.Plain {
		return nil
	}
	open := func(host string, port int) (*link.Link, error) {
		return link.Listen(fmt.Sprintf("%s:%d", host, port), onLoopback(port))
	}
	var err error
	if n.links.names, err = open(n.host(), n.ports.nameserver()); err != nil {
		return err
	}
	for broker := range n.cluster.options.Topology.Brokers {
		l, err := open(n.host(), n.ports.broker(broker))
		if err != nil {
			return err
		}
		n.links.brokers = append(n.links.brokers, l)
	}
	for other := range n.cluster.options.Topology.Nodes {
		if other == n.index {
			continue
		}
		for _, port := range n.dialed() {
			l, err := open(n.hostFor(other), port)
			if err != nil {
				return err
			}
			n.links.peers[other] = append(n.links.peers[other], l)
		}
	}
	return nil
}

// hostFor is where another node finds this one.
func (n *Node) hostFor(other int) string { return fmt.Sprintf("127.0.%d.%d", 2+other, n.index+1) }

// dialed are the ports that other nodes connect to.
func (n *Node) dialed() []int {
	list := []int{n.ports.replication(), n.ports.nameserver()}
	for broker := range n.cluster.options.Topology.Brokers {
		list = append(list, n.ports.broker(broker))
	}
	return list
}

// detours is the environment that leads what a node dials over its links: peers
// and nameservers are configured by where they listen, brokers are told by
// their addresses for clients.
func (c *Cluster) detours(node int) []string {
	var pairs []string
	for _, n := range c.nodes {
		if n.index == node {
			continue
		}
		for _, port := range n.dialed() {
			to := fmt.Sprintf("%s:%d", n.hostFor(node), port)
			pairs = append(pairs, onLoopback(port)+"="+to, fmt.Sprintf("%s:%d=%s", n.host(), port, to))
		}
	}
	return []string{"APOGEE_FAULTS_DETOURS=" + strings.Join(pairs, ",")}
}
