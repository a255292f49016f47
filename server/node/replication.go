package node

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/replication"
	"github.com/apogeemq/apogee/replication/transport"
	"github.com/apogeemq/apogee/server/conf"
	"github.com/apogeemq/apogee/server/remoting/certificate"
)

// Replication says with whom a broker keeps the same log.
type Replication struct {
	Enabled      bool               // enableDLegerCommitLog
	Group        string             // dLegerGroup; "": the broker's name
	Peers        []replication.Peer // dLegerPeers
	Self         string             // dLegerSelfId
	ClusterPeers []replication.Peer // clusterPeers: then Peers are these, and there is a group for each
	ClusterSelf  string             // clusterSelfId: then Self is this
	Secret       string             // clusterSecret
	TLS          bool               // clusterTls
	SlaveTimeout time.Duration      // slaveTimeout
	Heartbeat    time.Duration      // electionTimeoutMs
	FlushStall   time.Duration      // flushStallMs
	CatchUpBytes int64              // maxHaTransferByteInSecond
	ReturnDelay  time.Duration      // leaderReturnDelayMs; 0: never
	Kind         BrokerKind         // brokerRole
	BrokerID     int                // brokerId
	HAPort       int                // haListenPort; 0: BrokerPort + 1
	HAIP         netip.Addr         // brokerIP2; invalid: that for clients
	HAMaster     string             // haMasterAddress; "": the nameservers tell

	InSyncReplicas int           // inSyncReplicas
	CatchUpTime    time.Duration // haMaxTimeSlaveNotCatchup
	ForceMaster    bool          // forceMaster
	Prefer         string        // the peer that leads while it can; "": any. It follows from the group
	Compare        time.Duration // between two comparisons of states; 0: a minute
}

// secretBytesMin is the shortest secret that is worth the name.
const secretBytesMin = 16

// selfName is RocketMQ's form of the name of a node: n0, n1, ….
var selfName = regexp.MustCompile(`^n([0-9]{1,4})$`)

// peers are RocketMQ's n0-host:port;n1-host:port.
func peers(name, doc string, field func(*Config) *[]replication.Peer) setting {
	return conf.Of(name, "", "n0-host:port;n1-host:port;… or nothing", doc, func(c *Config, v string) error {
		var all []replication.Peer
		for _, part := range strings.Split(v, ";") {
			if part = strings.TrimSpace(part); part == "" {
				continue
			}
			id, address, ok := strings.Cut(part, "-")
			host, port, err := net.SplitHostPort(address)
			if !ok || err != nil || host == "" || !selfName.MatchString(id) {
				return conf.ErrNotAllowed
			}
			if _, err := conf.Number(port, 1, 65535); err != nil {
				return err
			}
			if slices.ContainsFunc(all, func(p replication.Peer) bool { return p.Name == id || p.Address == address }) {
				return conf.ErrNotAllowed
			}
			all = append(all, replication.Peer{Name: id, Address: address})
		}
		*field(c) = all
		return nil
	})
}

// secret is text that is told to nobody.
func secret(name, doc string, field func(*Config) *string) setting {
	s := conf.Optional(name, "", doc, field)
	s.Allowed, s.Secret = fmt.Sprintf("%d to 255 characters, or nothing", secretBytesMin), true
	set := s.Set
	s.Set = func(c *Config, v string) error {
		if v != "" && len(v) < secretBytesMin {
			return conf.ErrNotAllowed
		}
		return set(c, v)
	}
	return s
}

// self is the peer that this node is.
func (r *Replication) self() (replication.Peer, bool) {
	i := slices.IndexFunc(r.Peers, func(p replication.Peer) bool { return p.Name == r.Self })
	if i < 0 {
		return replication.Peer{}, false
	}
	return r.Peers[i], true
}

// followerID is the broker id of the node while it doesn't lead: RocketMQ's
// number of the peer, and one.
func (r *Replication) followerID() int64 {
	n, _ := strconv.ParseInt(strings.TrimPrefix(r.Self, "n"), 10, 64) // checked to be a number
	return n + 1
}

// check finds values that don't go together.
func (r *Replication) check(files certificate.Files) []error {
	if !r.Enabled {
		return nil
	}
	var wrong []error
	refuse := func(format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("configuration: "+format, args...))
	}
	peersKey, selfKey := r.clusterKeys()
	if _, found := r.self(); !found {
		refuse("%s=%s names none of %s: set it to the name of this node there, such as n0", selfKey, r.Self, peersKey)
	}
	if r.TLS && (files.CertificatePath == "" || files.TrustPath == "") {
		refuse("clusterTls=true needs tls.server.certPath, tls.server.keyPath and tls.server.trustCertPath: nodes show each other certificates")
	}
	for _, p := range r.Peers {
		if host, _, _ := net.SplitHostPort(p.Address); !isLoopback(host) && r.Secret == "" && !r.TLS {
			refuse("%s has %s-%s, which isn't on this machine, and nothing keeps others from taking part: set clusterSecret or clusterTls", peersKey, p.Name, p.Address)
			break
		}
	}
	return wrong
}

func isLoopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || host == "localhost"
}

// listenAddress is where the node takes the connections of its peers: at its
// own address among them, or with bindAddress=0.0.0.0 at every one.
func (c *Config) listenAddress() string {
	self, _ := c.Replication.self()
	host, port, _ := net.SplitHostPort(self.Address) // checked
	if c.BindAddress.IsUnspecified() {
		host = c.BindAddress.String()
	}
	return net.JoinHostPort(host, port)
}

// openNetwork begins to take connections of peers.
func (n *Node) openNetwork() error {
	o := transport.Options{
		Listener: n.listeners.replication, Dial: n.faults.dialPeer(), Secret: []byte(n.config.Replication.Secret),
		EntryBytesMax: max(n.config.eventBytesMax(), entryBytesMin), Log: n.log,
	}
	if n.config.Replication.TLS {
		var err error
		if o.ServerTLS, o.ClientTLS, err = n.clusterTLS(); err != nil {
			return err
		}
	}
	n.listeners.replication = nil // the network closes it
	n.network = transport.NewNetwork(o)
	n.log.Info("listening", "for", "replication", "address", n.network.Address())
	return nil
}

// entryBytesMin is what a batch of small messages may come to.
const entryBytesMin = 8 << 20

// clusterTLS shows the server's certificate on both sides, and verifies that of
// the other side.
func (n *Node) clusterTLS() (server, client *tls.Config, err error) {
	files := n.config.Transport.Server
	files.VerifyPeer = true
	s, err := certificate.NewServer(certificate.ServerOptions{Files: files, ClientAuth: certificate.ClientAuthRequire, Log: n.log})
	if err != nil {
		return nil, nil, err
	}
	n.run(s.Watch)
	client, err = certificate.NewClient(files)
	return s.Config(), client, err
}

// openGroup opens the shard's log as one of a group.
func (s *shard) openGroup(ctx context.Context, o replication.GroupOptions) (commitlog.Recovery, error) {
	r := &s.config.Replication
	o.Peers, o.Founder = r.Peers, r.Prefer
	o.Self, _ = r.self()
	o.Proposer.FlushTimeout = r.SlaveTimeout
	return s.openReplicated(ctx, o)
}

// openReplicated opens a replica with what all kinds of groups have in common.
func (s *shard) openReplicated(ctx context.Context, o replication.GroupOptions) (commitlog.Recovery, error) {
	r := &s.config.Replication
	o.Name, o.Network, o.Service = s.groupName(), s.node.network, s.client
	o.Times = replication.Times{Heartbeat: r.Heartbeat, FlushStall: r.FlushStall, Compare: r.Compare}
	o.CatchUpBytes, o.Log = r.CatchUpBytes, s.log
	o.Mark = commitlog.Durable
	if s.config.FlushDisk == AsyncFlush {
		o.Mark = commitlog.Written
	}
	group, recovery, err := replication.OpenGroup(ctx, o)
	if err != nil {
		return recovery, err
	}
	s.replica, s.group = group, group
	return recovery, nil
}
