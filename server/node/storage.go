package node

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/replication"
	"github.com/apogeemq/apogee/server/broker"
	"github.com/apogeemq/apogee/server/broker/delay"
)

const (
	// logDir is the folder of the log in the folder of everything.
	logDir = "log"
	// waitingDir is the folder of the table of messages that wait. It may be
	// deleted while the server is down.
	waitingDir = "waiting"
	// waitingBytesMax bounds the messages that wait to be stored. More doesn't
	// make the disk faster, only the waiting longer.
	waitingBytesMax = 32 << 20
	// haPortDistance: RocketMQ's brokers tell slaves to connect to listenPort + 1.
	haPortDistance = 1
	// systemTopicsTime bounds the wait for the first events of a new log.
	systemTopicsTime = time.Minute
)

// openLog recovers the log and everything that follows from it.
func (s *shard) openLog(ctx context.Context) error {
	s.waitsFor("starting: reading the log")
	if err := s.config.checkPlace(); err != nil {
		return err
	}
	d, err := disk.Open(filepath.Join(s.config.StoreDir, logDir))
	if err == nil {
		d, err = s.node.faults.over(d)
	}
	if err != nil {
		return err
	}
	s.log.Info("disk", "path", d.Path(), "io", d.Describe(), "flush", s.config.FlushDisk)
	if err := checkOwner(d, &s.config); err != nil {
		return err
	}
	began := time.Now()
	recovery, err := s.openReplica(ctx, d)
	if err != nil {
		return err
	}
	if err := keepOwner(d, &s.config); err != nil {
		s.log.Warn("the folder is not marked as this broker's; the next start tries again", "cause", err)
	}
	s.log.Info("log open", "created", recovery.Created, "end", recovery.End, "position", recovery.Position,
		"tornBytes", recovery.TornBytes, "took", time.Since(began).Round(time.Millisecond))
	if recovery.TornBytes > 0 {
		s.log.Warn("the log ended in a write that was cut off; its bytes were kept aside",
			"bytes", recovery.TornBytes, "file", recovery.TornFile, "cause", recovery.Reason)
	}
	s.metrics.observeEngine(s.replica.Engine())
	s.metrics.add(func(w io.Writer) { writeLogMetrics(w, s.replica.Engine(), d) })
	s.metrics.add(s.replica.WriteMetrics)
	s.metrics.add(s.writeSlaveMetrics)
	return nil
}

// openReplica opens the log of a single node, or of one of a group.
func (s *shard) openReplica(ctx context.Context, d disk.Disk) (commitlog.Recovery, error) {
	client, err := clientAddress(&s.config, s.address.Port())
	if err != nil {
		return commitlog.Recovery{}, err
	}
	s.client = client.String()
	proposer := replication.ProposerOptions{
		WaitingBytes: max(waitingBytesMax, 2*s.config.MessageBytesMax),
		WaitTime:     s.config.SendQueueTime, FlushTimeout: s.config.SyncFlushTimeout,
		Now: s.node.faults.nowMillis,
	}
	if s.config.Replication.Enabled {
		return s.openGroup(ctx, replication.GroupOptions{Engine: s.engineOptions(d), Proposer: proposer})
	}
	together := replication.GroupOptions{Engine: s.engineOptions(d), Proposer: proposer}
	if s.config.Replication.Kind != AsyncMaster || s.slavesAwaited() {
		return s.openMasterSlave(ctx, together)
	}
	single, recovery, err := replication.OpenSingle(replication.SingleOptions{
		Address: s.address.String(), Engine: s.engineOptions(d), Proposer: proposer})
	if errors.Is(err, replication.ErrHasSlaves) {
		return s.openMasterSlave(ctx, together)
	}
	if err != nil {
		return recovery, err
	}
	s.replica = single
	s.awaitSlaves(single.Engine().Log().Meta())
	return recovery, nil
}

func (s *shard) engineOptions(d disk.Disk) engine.Options {
	o := engine.Options{
		Log: commitlog.Options{Disk: d, SegmentBytes: s.config.SegmentBytes, HistoryBytes: s.config.ReadCacheBytes,
			EventBytesMax: s.config.eventBytesMax(), Clock: monotonicClock(), Log: s.log, Fatal: s.node.options.Fatal},
		CommitAt: engine.CommitDurable, FlushInterval: s.config.FlushInterval,
		WaitingFS: vfs.Default, WaitingDir: filepath.Join(s.config.StoreDir, waitingDir),
	}
	if s.config.FlushDisk == AsyncFlush {
		o.CommitAt = engine.CommitWritten
	}
	if s.config.FlushMethod == Dsync {
		o.Log.Method = commitlog.FlushDsync
	}
	return o
}

// openBroker makes the broker.
func (s *shard) openBroker(context.Context) error {
	s.waitsFor("starting: creating system topics")
	client, err := netip.ParseAddrPort(s.client)
	if err != nil {
		return err
	}
	e := s.replica.Engine()
	b, err := broker.New(s.brokerConfig(client), broker.Dependencies{
		Authorizer: s.node.authorizer(),
		Proposer:   s.replica, Queues: e, Topics: e.Topics(), Offsets: e.Offsets(), Groups: e.Groups(), Locks: e.Locks(), Waiting: e.Waiting(), Progress: e,
	})
	if err != nil {
		return err
	}
	s.broker = b
	s.metrics.add(b.WriteMetrics)
	if s.group != nil {
		return s.openForwarder()
	}
	return nil
}

func (s *shard) brokerConfig(client netip.AddrPort) broker.Config {
	c := broker.DefaultConfig(client)
	c.ClusterName, c.BrokerName = s.config.ClusterName, s.config.BrokerName
	c.Region, c.Trace, c.Permission = s.config.Region, s.config.Trace, s.config.BrokerPermission
	c.StoreReplies = s.config.StoreReplies
	if s.config.TraceTopicExists {
		c.TraceTopic = s.config.TraceTopic
	}
	c.AutoCreateTopic, c.AutoCreateGroup, c.DefaultTopicQueues = s.config.AutoCreateTopic, s.config.AutoCreateGroup, s.config.DefaultTopicQueues
	c.PropertyFilter = s.config.PropertyFilter
	c.TransactionTimeout, c.RejectTransactions = s.config.TransactionTimeout, s.config.RejectTransactions
	c.Delays, c.Recall = delay.Rules{Levels: s.config.DelayLevels, Longest: s.config.TimerMax}, s.config.Recall
	c.MessageBytesMax, c.OffsetCommitInterval = s.config.MessageBytesMax, s.config.OffsetInterval
	c.Properties = s.config.Properties()
	c.Space = func() (uint64, uint64, error) { return diskSpace(s.config.StoreDir) }
	c.Clock, c.Logger, c.ProcessID = s.node.faults.now, s.log, uint16(os.Getpid())
	return c
}
