package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"time"

	"github.com/apogeemq/apogee/server/broker/delay"
)

// Permission bits of brokers and topics, as in RocketMQ's PermName.
const (
	PermissionInherit = 1 // topics may be created after this one's model
	PermissionWrite   = 2
	PermissionRead    = 4
)

// Config says what a broker is. DefaultConfig has RocketMQ's defaults.
type Config struct {
	ClusterName string // brokerClusterName
	BrokerName  string // brokerName
	// Address under which clients reach this broker: it stands in every record
	// and every message id (brokerIP1 and listenPort).
	Address netip.AddrPort
	Region  string // regionId, stored with each message
	Trace   bool   // traceOn, stored with each message
	// TraceTopic is the topic for the clients' traces that exists from the start
	// (traceTopicEnable, msgTraceTopicName). "" for none: the first trace creates
	// it where sends create topics.
	TraceTopic string
	// Permission of the whole broker: PermissionRead and PermissionWrite bits
	// (brokerPermission).
	Permission int
	// AutoCreateTopic lets a send create its topic after the model of TBW102
	// (autoCreateTopicEnable).
	AutoCreateTopic bool
	// PropertyFilter lets consumers choose messages by SQL92 expressions
	// (RocketMQ: enablePropertyFilter, there off by default).
	PropertyFilter bool

	// StoreReplies stores the replies to requests, besides passing them on
	// (storeReplyMessageEnable).
	StoreReplies bool
	// AutoCreateGroup lets the first use of a consumer group create it
	// (autoCreateSubscriptionGroup).
	AutoCreateGroup bool
	// DefaultTopicQueues is the number of queues of TBW102 (defaultTopicQueueNums).
	DefaultTopicQueues int
	// MessageBytesMax bounds a message body, and the body of a batch
	// (maxMessageSize).
	MessageBytesMax int
	// OffsetCommitInterval is how long consumer offsets are gathered before
	// they are proposed (offsetCommitIntervalMs).
	OffsetCommitInterval time.Duration
	// YoungBytes: a group without an offset begins at 0 while message 0 of the
	// queue is no further than this behind the end of the log. RocketMQ takes
	// what it holds in memory, 40 % of the machine's.
	YoungBytes int64

	// TransactionTimeout is how long a half message waits before its producers
	// are asked for the outcome (transactionTimeOut).
	TransactionTimeout time.Duration
	// RejectTransactions refuses half messages (rejectTransactionMessage).
	RejectTransactions bool
	// Delays says what messages may wait for (messageDelayLevel,
	// timerMaxDelaySec).
	Delays delay.Rules
	// Recall lets producers take back what waits for its time
	// (recallMessageEnable).
	Recall bool

	// Properties are all settings of the process as lines key=value, for
	// administrators who ask.
	Properties string

	// Space tells the size of the disk and what is free of it.
	Space func() (totalBytes, freeBytes uint64, err error)

	Limits Limits

	// Clock tells the time, Zone where months begin (for unique keys).
	Clock  func() time.Time
	Zone   *time.Location
	Logger *slog.Logger
	// ProcessID goes into the unique keys that the broker makes for messages
	// which come without.
	ProcessID uint16
}

// Limits bounds what clients can make a broker hold.
type Limits struct {
	SendsInFlight    int // sends proposed and not answered
	BatchMessages    int // messages in one batch
	HeldPulls        int // pulls that wait for messages
	WaitingReads     int // pulls and searches that wait for a reader
	Readers          int // goroutines of the read pool
	WaitingCreations int // requests that wait for a topic to be created
	GatheredOffsets  int // offsets gathered and not applied
	DeliveredRuns    int // ranges of messages that were sent to groups with trackDelivery and are not recorded yet
	QueueLocks       int // leases of queues
	HeartbeatBytes   int // body of a heartbeat
	GroupsPerClient  int // groups of one connection
	ClientBytes      int // heartbeats of all connections together
	MeasuredPairs    int // (topic, group) pairs with metrics of their own
	HoldTime         time.Duration
	ClientExpiry     time.Duration // without a heartbeat (channelExpiredTimeout)
	ClientSweep      time.Duration // how often clients and locks are looked through
	LockLease        time.Duration // of a queue (rebalanceLockMaxLiveTime)
	CreationPatience time.Duration // until a topic must have been created
	ShutdownPatience time.Duration // for the last offsets when closing
	Relays           int           // requests passed on to clients that wait for an answer
	RelayPatience    time.Duration // until a client must have answered
	ReplyBufferBytes int           // body buffer that a reader keeps
}

// Bounds of one pull, as in RocketMQ: maxTransferCountOnMessageInMemory,
// maxTransferBytesOnMessageInMemory, and the 16000 bytes of consume queue that
// it looks at.
const (
	pullMessagesMax = 32
	pullBytesMax    = 256 << 10
	pullScanMax     = 800
)

// DefaultConfig is RocketMQ's defaults for a broker at address.
func DefaultConfig(address netip.AddrPort) Config {
	return Config{
		ClusterName: "DefaultCluster", BrokerName: "broker-a", Address: address,
		Region: "DefaultRegion", Trace: true,
		Permission:      PermissionRead | PermissionWrite,
		AutoCreateTopic: true, AutoCreateGroup: true, StoreReplies: true, PropertyFilter: true, DefaultTopicQueues: 8,
		MessageBytesMax:      4 << 20,
		OffsetCommitInterval: 100 * time.Millisecond,
		YoungBytes:           4 << 30,
		TransactionTimeout:   6 * time.Second,
		Delays:               delay.Rules{Levels: delay.MustParseLevels(delay.DefaultLevels), Longest: 72 * time.Hour},
		Limits:               DefaultLimits(),
		Space:                func() (uint64, uint64, error) { return 0, 0, nil },
		Clock:                time.Now, Zone: time.Local, Logger: slog.Default(),
	}
}

// DefaultLimits suits a machine with some GiB of memory.
func DefaultLimits() Limits {
	return Limits{
		SendsInFlight: 1 << 17, BatchMessages: 1 << 14,
		HeldPulls: 100_000, WaitingReads: 1 << 14, Readers: max(4, 2*runtime.GOMAXPROCS(0)),
		WaitingCreations: 1024, GatheredOffsets: 1 << 18, DeliveredRuns: 1 << 16, QueueLocks: 1 << 18,
		HeartbeatBytes: 4 << 20, GroupsPerClient: 1024, ClientBytes: 256 << 20, MeasuredPairs: 1 << 13,
		HoldTime: 5 * time.Minute, ClientExpiry: 120 * time.Second, ClientSweep: 10 * time.Second,
		LockLease: 60 * time.Second, CreationPatience: 5 * time.Second, ShutdownPatience: 5 * time.Second,
		ReplyBufferBytes: 1 << 20, Relays: 256, RelayPatience: 10 * time.Second,
	}
}

func (c *Config) validate() error {
	l := &c.Limits
	for _, n := range []struct {
		name  string
		value int64
	}{
		{"DefaultTopicQueues", int64(c.DefaultTopicQueues)}, {"MessageBytesMax", int64(c.MessageBytesMax)},
		{"OffsetCommitInterval", int64(c.OffsetCommitInterval)}, {"YoungBytes", c.YoungBytes}, {"TransactionTimeout", int64(c.TransactionTimeout)},
		{"SendsInFlight", int64(l.SendsInFlight)}, {"BatchMessages", int64(l.BatchMessages)},
		{"HeldPulls", int64(l.HeldPulls)}, {"WaitingReads", int64(l.WaitingReads)}, {"Readers", int64(l.Readers)},
		{"WaitingCreations", int64(l.WaitingCreations)}, {"GatheredOffsets", int64(l.GatheredOffsets)},
		{"DeliveredRuns", int64(l.DeliveredRuns)},
		{"QueueLocks", int64(l.QueueLocks)}, {"HeartbeatBytes", int64(l.HeartbeatBytes)},
		{"GroupsPerClient", int64(l.GroupsPerClient)}, {"ClientBytes", int64(l.ClientBytes)}, {"MeasuredPairs", int64(l.MeasuredPairs)},
		{"HoldTime", int64(l.HoldTime)}, {"ClientExpiry", int64(l.ClientExpiry)}, {"ClientSweep", int64(l.ClientSweep)},
		{"LockLease", int64(l.LockLease)}, {"CreationPatience", int64(l.CreationPatience)},
		{"ShutdownPatience", int64(l.ShutdownPatience)}, {"ReplyBufferBytes", int64(l.ReplyBufferBytes)},
		{"Relays", int64(l.Relays)}, {"RelayPatience", int64(l.RelayPatience)},
	} {
		if n.value <= 0 {
			return fmt.Errorf("configure broker: %s is %d, it must be more than 0: begin with DefaultConfig", n.name, n.value)
		}
	}
	switch {
	case c.ClusterName == "" || c.BrokerName == "":
		return errors.New("configure broker: cluster name and broker name must not be empty")
	case !c.Address.IsValid() || c.Address.Addr().IsUnspecified():
		return fmt.Errorf("configure broker: address %v can't be reached by clients: set the address they use", c.Address)
	case len(c.Delays.Levels) == 0 || c.Delays.Longest <= 0:
		return errors.New("configure broker: delay levels and the longest delay must be set")
	case c.Clock == nil || c.Zone == nil || c.Logger == nil || c.Space == nil:
		return errors.New("configure broker: clock, time zone, logger and disk space must be set")
	}
	return nil
}
