package node

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/apogeemq/apogee/server/conf"
)

// shardPortDistance is between the ports of two brokers of a process: room for
// the fast port, and for what RocketMQ's tools expect beside a listenPort.
const shardPortDistance = 10

// severalShards reports whether brokers of the process have numbers in names
// and ports, and folders of their own below storePathRootDir.
func (c *Config) severalShards() bool {
	return c.runsBroker() && (len(c.Replication.ClusterPeers) > 0 || len(c.StoreDirs) > 1)
}

// shards are the configurations of the process's brokers: with clusterPeers one
// for each peer, with several folders one for each of these, else one.
func (c *Config) shards() []Config {
	var all []Config
	switch {
	case !c.runsBroker():
	case !c.severalShards():
		all = append(all, *c)
	case len(c.Replication.ClusterPeers) > 0:
		all = c.groups(nil)
	default:
		for i, dir := range c.StoreDirs {
			if dir != "" {
				all = append(all, c.shard("n"+strconv.Itoa(i)))
			}
		}
	}
	return all
}

// shard is the configuration of the broker that is called n0, n1 and so on
// behind brokerName. Its port follows from the number, so it is the same
// wherever a list names it.
func (c *Config) shard(name string) Config {
	s := *c
	number := shardNumber(name)
	s.BrokerName = c.BrokerName + "-" + name
	if c.BrokerPort != 0 {
		s.BrokerPort = c.BrokerPort + number*shardPortDistance
	}
	s.StoreDir = filepath.Join(c.StoreDirs[number%len(c.StoreDirs)], s.BrokerName)
	s.Replication.Prefer = c.Replication.preferred(name)
	s.given = slices.Clone(c.given)
	for i, line := range s.given {
		switch key, _, _ := strings.Cut(line, "="); key {
		case "brokerName":
			s.given[i] = key + "=" + s.BrokerName
		case "listenPort":
			s.given[i] = key + "=" + strconv.Itoa(s.BrokerPort)
		case "storePathRootDir":
			s.given[i] = key + "=" + s.StoreDir
		}
	}
	return s
}

// shardNumber is that of a name such as n2.
func shardNumber(name string) int {
	n, err := strconv.Atoi(strings.TrimPrefix(name, "n"))
	if err != nil {
		panic("BUG: " + name + " is no name of a broker in a process")
	}
	return n
}

// preferred is the peer that leads a group while it can: that of its name, for
// groups beyond these the peers in turn.
func (r *Replication) preferred(group string) string {
	if len(r.ClusterPeers) == 0 {
		return ""
	}
	names := make([]string, len(r.ClusterPeers))
	for i, p := range r.ClusterPeers {
		names[i] = p.Name
	}
	if slices.Contains(names, group) {
		return group
	}
	slices.SortFunc(names, func(a, b string) int { return shardNumber(a) - shardNumber(b) })
	return names[shardNumber(group)%len(names)]
}

// joinCluster takes clusterPeers and what follows from them: where to listen
// and which nameservers there are, where nothing else is given.
func (c *Config) joinCluster(given func(key string) bool) {
	r := &c.Replication
	if len(r.ClusterPeers) == 0 || !c.runsBroker() {
		return
	}
	r.Enabled, r.Peers, r.Self = true, r.ClusterPeers, r.ClusterSelf
	self, found := r.self()
	if !found {
		return // check says so
	}
	host, _, _ := net.SplitHostPort(self.Address)
	if ip, err := netip.ParseAddr(host); err == nil && !given("bindAddress") {
		c.BindAddress = ip.Unmap()
	}
	if given("namesrvAddr") || !c.NameserverEmbedded || c.NameserverPort == 0 {
		return
	}
	var others []string
	for _, p := range r.ClusterPeers {
		peer, _, _ := net.SplitHostPort(p.Address)
		if p.Name != r.Self && peer == host {
			return // processes of one machine: their nameservers have other ports
		}
		if p.Name != r.Self {
			others = append(others, net.JoinHostPort(peer, strconv.Itoa(c.NameserverPort)))
		}
	}
	c.Nameservers = others
}

// checkShards finds what keeps several brokers of a process apart, or doesn't.
func (c *Config) checkShards() (wrong []error) {
	refuse := func(format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("configuration: "+format, args...))
	}
	r := &c.Replication
	if !slices.ContainsFunc(c.StoreDirs, func(dir string) bool { return dir != "" }) {
		refuse("storePathRootDir=%s names no folder", strings.Join(c.StoreDirs, ","))
	}
	for i, dir := range c.StoreDirs {
		if dir != "" && slices.Contains(c.StoreDirs[:i], dir) {
			refuse("storePathRootDir has %s twice: every broker needs a folder of its own", dir)
		}
		if dir == "" && len(r.ClusterPeers) > 0 {
			refuse("storePathRootDir has an empty place, and clusterPeers leaves none out: name a folder there")
		}
	}
	if len(r.ClusterPeers) == 0 {
		if r.ClusterSelf != "" {
			refuse("clusterSelfId=%s without clusterPeers: set clusterPeers to all nodes of the cluster", r.ClusterSelf)
		}
		if r.Enabled && len(c.StoreDirs) > 1 {
			refuse("enableDLegerCommitLog=true is one group, which has one folder, and storePathRootDir has %d: "+
				"name one, or use clusterPeers, whose groups are spread over them", len(c.StoreDirs))
		}
	}
	for _, s := range c.shards() {
		if s.BrokerPort > 65535 {
			refuse("listenPort=%d gives broker %s the port %d, and there is none: use a smaller listenPort or names with smaller numbers",
				c.BrokerPort, s.BrokerName, s.BrokerPort)
		}
	}
	return wrong
}

// errMoved: the broker's log is elsewhere in the folders of storePathRootDir.
var errMoved = errors.New("log in another place")

// checkPlace refuses to begin a new log where the configuration has changed so
// that the old one is in another place: in another folder of the list, or there
// as that of one broker, or of several.
func (c *Config) checkPlace() error {
	if exists(filepath.Join(c.StoreDir, logDir)) {
		return nil
	}
	var others []string
	for _, dir := range c.StoreDirs {
		switch {
		case dir == "":
		case c.severalShards():
			others = append(others, dir, filepath.Join(dir, c.BrokerName))
		default:
			several, _ := filepath.Glob(filepath.Join(dir, c.BrokerName+"-n*")) // a name with signs of patterns finds nothing
			others = append(others, several...)
		}
	}
	for _, other := range others {
		if exists(filepath.Join(other, logDir)) {
			return fmt.Errorf("open broker %s: %w: storePathRootDir says that it is %s, which is empty, and there is one in %s; "+
				"set storePathRootDir as it was, or move that folder", c.BrokerName, errMoved, c.StoreDir, other)
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// directories are folders with RocketMQ's separator of several paths. A place
// may be empty, so that those behind it keep their numbers.
func directories(name, fallback, doc string) setting {
	return conf.Of(name, fallback, "folders with , between several", doc, func(c *Config, v string) error {
		if v == "" || len(v) > directoriesBytesMax || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' }) {
			return conf.ErrNotAllowed
		}
		c.StoreDirs = strings.Split(v, ",")
		for i, dir := range c.StoreDirs {
			if c.StoreDirs[i] = strings.TrimSpace(dir); c.StoreDir == "" {
				c.StoreDir = c.StoreDirs[i]
			}
		}
		return nil
	})
}

// directoriesBytesMax bounds storePathRootDir.
const directoriesBytesMax = 4096

// clusterKeys are the keys that name the nodes of a group, for messages.
func (r *Replication) clusterKeys() (peersKey, selfKey string) {
	if len(r.ClusterPeers) > 0 {
		return "clusterPeers", "clusterSelfId"
	}
	return "dLegerPeers", "dLegerSelfId"
}

// dLegerGiven reports whether the keys of RocketMQ's one group are in use.
func (r *Replication) dLegerGiven() bool { return r.Enabled || len(r.Peers) > 0 || r.Self != "" }
