package node

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/replication"
	"github.com/apogeemq/apogee/replication/transport"
	"github.com/apogeemq/apogee/server/nameserver"
)

// BrokerKind is RocketMQ's brokerRole: what a broker is before its log says
// something else.
type BrokerKind string

// Values of BrokerKind.
const (
	SyncMaster  BrokerKind = "SYNC_MASTER"
	AsyncMaster BrokerKind = "ASYNC_MASTER"
	Slave       BrokerKind = "SLAVE"
)

const (
	// divergentDir is the folder of frames that the group of this broker doesn't
	// have, in the folder of everything.
	divergentDir = "divergent"
	// awaitedName is the file in the log's folder of a broker by itself that a
	// slave has knocked at: it opens its log so that slaves get it.
	awaitedName = "slaves"
	// locateTime bounds a question to a nameserver.
	locateTime = 2 * time.Second
)

// haPort is where slaves connect to; 0: any free one.
func (c *Config) haPort() int {
	if c.Replication.HAPort == 0 && c.BrokerPort != 0 {
		return c.BrokerPort + haPortDistance
	}
	return c.Replication.HAPort
}

// isPaired reports whether the broker is set up as one of a master and slaves.
func (r *Replication) isPaired() bool { return !r.Enabled && r.Kind != AsyncMaster }

// guarded reports whether only those get the log that may have it.
func (c *Config) guarded() bool {
	return c.BindAddress.IsLoopback() || c.Replication.Secret != "" || c.Replication.TLS
}

// listenForSlaves opens the port for slaves. A broker that isn't set up to have
// any does so where nothing is in the way, so that one may join while it runs.
func (l *listeners) listenForSlaves(c *Config) (err error) {
	r := &c.Replication
	switch {
	case !c.runsBroker() || r.Enabled:
		return nil
	case r.isPaired() || r.HAPort != 0:
		l.replication, err = open("haListenPort", c.BindAddress, c.haPort())
		return err
	case c.BrokerPort != 0 && c.guarded() && !c.severalShards():
		if found, err := open("haListenPort", c.BindAddress, c.haPort()); err == nil {
			l.replication = found
		}
	}
	return nil
}

// checkSlaves finds values that don't go together.
func (c *Config) checkSlaves() (wrong []error) {
	refuse := func(format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("configuration: "+format, args...))
	}
	r := &c.Replication
	switch {
	case r.Enabled && (r.Kind != AsyncMaster || r.BrokerID != 0):
		refuse("brokerRole=%s and brokerId=%d with enableDLegerCommitLog or clusterPeers, where nodes settle their roles by themselves: remove both keys", r.Kind, r.BrokerID)
	case r.Enabled:
	case r.Kind == Slave && r.BrokerID == 0:
		refuse("brokerRole=SLAVE with brokerId=0, which is the master's: use 1, 2 and so on")
	case r.Kind != Slave && r.BrokerID != 0:
		refuse("brokerRole=%s with brokerId=%d: a master's brokerId is 0, a slave's brokerRole is SLAVE", r.Kind, r.BrokerID)
	case r.isPaired() && c.severalShards():
		refuse("brokerRole=%s is for a broker with one folder, and storePathRootDir has %d: use a process for each, or clusterPeers", r.Kind, len(c.StoreDirs))
	case r.isPaired() && !c.guarded():
		refuse("brokerRole=%s with bindAddress=%s lets everybody have the log who reaches haListenPort: set clusterSecret or clusterTls", r.Kind, c.BindAddress)
	case r.Kind == Slave && len(c.Nameservers) == 0 && r.HAMaster == "":
		refuse("brokerRole=SLAVE has nowhere to find its master: set namesrvAddr to the nameservers that know it, or haMasterAddress")
	}
	if r.HAMaster != "" {
		if _, _, err := net.SplitHostPort(r.HAMaster); err != nil {
			refuse("haMasterAddress=%s is not host:port", r.HAMaster)
		}
	}
	return wrong
}

// haAddress is where slaves are told to connect to.
func (s *shard) haAddress() string {
	client, err := netip.ParseAddrPort(s.client)
	if err != nil {
		panic("BUG: the address that clients are told is none: " + s.client)
	}
	ip, port := client.Addr(), uint16(0)
	if h := s.config.Replication.HAIP; h.IsValid() {
		ip = h
	}
	if n := s.node.network; n != nil && !s.config.Replication.Enabled {
		if listens, err := netip.ParseAddrPort(n.Address()); err == nil {
			port = listens.Port()
		}
	}
	if port == 0 {
		port = client.Port() + haPortDistance
	}
	return netip.AddrPortFrom(ip, port).String()
}

// peerName is that of this broker among its master and slaves.
func (r *Replication) peerName() string { return "n" + strconv.Itoa(r.BrokerID) }

// openMasterSlave opens the log as a master's or a slave's. Which of the two it
// is the log says, and the role where there is none.
func (s *shard) openMasterSlave(ctx context.Context, o replication.GroupOptions) (commitlog.Recovery, error) {
	if s.node.network == nil {
		return commitlog.Recovery{}, fmt.Errorf("open broker %s: its log has slaves, and nothing listens for them: set clusterSecret, and haListenPort to a free port", s.config.BrokerName)
	}
	r := &s.config.Replication
	s.waitsFor("starting: asking slaves and nameservers who is the master")
	o.Self = replication.Peer{Name: r.peerName(), Address: s.haAddress()}
	kind := &replication.MasterSlave{
		ReplicaTimeout: r.SlaveTimeout, CatchUp: r.CatchUpTime, Slave: r.Kind == Slave,
		Masters: s.masters, Force: r.ForceMaster, Forced: s.forced, Divergent: s.divergent,
	}
	if r.Kind != AsyncMaster {
		kind.InSync = r.InSyncReplicas - 1
	}
	o.MasterSlave = kind
	s.gate.starting.Store(&promoter{authorizer: s.node.authorizer(), forced: s.forced})
	recovery, err := s.openReplicated(ctx, o)
	s.gate.starting.Store(nil)
	if err != nil {
		return recovery, err
	}
	if len(s.group.Members()) > 1 {
		s.logKnowsSlaves()
	}
	s.run(s.heedDifference)
	return recovery, nil
}

// heedDifference has the process start again when the log differs from the
// master's.
func (s *shard) heedDifference(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-s.group.Differs():
		s.node.startAgain()
	}
}

// masters asks the nameservers for the master. The one inside this process knows
// nothing that this broker hasn't told it.
func (s *shard) masters(ctx context.Context) (known []replication.KnownMaster, silent []string) {
	if a := s.config.Replication.HAMaster; a != "" {
		known = append(known, replication.KnownMaster{Address: a})
	}
	dial, err := s.node.dialNameservers()
	if err != nil {
		return known, []string{"nameservers: " + err.Error()}
	}
	var mu sync.Mutex
	var asking sync.WaitGroup
	for _, address := range s.config.Nameservers {
		asking.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, locateTime)
			defer cancel()
			var m nameserver.Master
			client, err := dial(ctx, address)
			if err == nil {
				m, err = nameserver.Locate(ctx, client, s.config.ClusterName, s.config.BrokerName)
				client.Close()
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				silent = append(silent, fmt.Sprintf("nameserver %s (%v)", address, err))
				return
			}
			known = append(known, replication.KnownMaster{Address: m.HAAddress, Term: event.Term(m.Term)})
		})
	}
	asking.Wait()
	return known, silent
}

// divergent makes a folder for frames that the group doesn't have.
func (s *shard) divergent(name string) (disk.Disk, error) {
	path := filepath.Join(s.config.StoreDir, divergentDir, name)
	if err := os.RemoveAll(path); err != nil { // of an attempt that was cut short
		return nil, err
	}
	return disk.Open(path)
}

// aside lists what was put aside.
func (s *shard) aside() (all []replication.Divergence) {
	entries, err := os.ReadDir(filepath.Join(s.config.StoreDir, divergentDir))
	if err != nil {
		return nil // there is none
	}
	for _, e := range entries {
		if d, ok := replication.ParseDivergence(e.Name()); ok {
			all = append(all, d)
		}
	}
	return all
}

// slavesAwaited reports whether a slave has knocked at this broker.
func (s *shard) slavesAwaited() bool {
	return exists(filepath.Join(s.config.StoreDir, logDir, awaitedName))
}

func (s *shard) logKnowsSlaves() {
	if err := os.Remove(filepath.Join(s.config.StoreDir, logDir, awaitedName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		s.log.Warn("a note that slaves are expected stays", "cause", err)
	}
}

// awaitSlaves answers slaves of a broker by itself. The first that knocks makes
// the process start again with a log that slaves get.
func (s *shard) awaitSlaves(m commitlog.Meta) {
	network := s.node.network
	if network == nil || s.config.severalShards() {
		return
	}
	hello := transport.Hello{Group: s.groupName(), Log: m.Log, Node: m.Node, Name: s.config.Replication.peerName(), Address: s.haAddress(), Service: s.client}
	network.Await(hello, func(peer transport.Hello) {
		if peer.Log != (event.LogID{}) && peer.Log != m.Log {
			return
		}
		if err := os.WriteFile(filepath.Join(s.config.StoreDir, logDir, awaitedName), nil, 0o644); err != nil {
			s.log.Error("a slave asks for the log and can't be given it", "slave", peer.Address, "cause", err)
			return
		}
		s.log.Info("a slave asks for the log: this broker starts again as a master with slaves", "slave", peer.Address)
		s.node.startAgain()
	})
}

// slaveID is the broker id of a node that doesn't lead. The one that was set up
// as the master takes the place of the slave that leads now.
func (s *shard) slaveID() int64 {
	if id := s.config.Replication.BrokerID; id != 0 {
		return int64(id)
	}
	if s.replica != nil {
		leader := s.replica.Role().Leader.Name
		if id, err := strconv.ParseInt(strings.TrimPrefix(leader, "n"), 10, 64); err == nil && id > 0 {
			return id
		}
	}
	return 1
}

// isSlave reports whether this broker is a slave, with or without a master: only
// an administrator makes it one.
func (s *shard) isSlave() bool { return s.group != nil && s.group.IsSlave() }
