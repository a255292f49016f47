package node

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/server/access"
	"github.com/apogeemq/apogee/server/broker/delay"
	"github.com/apogeemq/apogee/server/conf"
	"github.com/apogeemq/apogee/server/nameserver"
)

// Config is everything an operator decides. The comment of each field is its
// key; the table of settings has the rest.
type Config struct {
	ClusterName      string // brokerClusterName
	BrokerName       string // brokerName
	BrokerPermission int    // brokerPermission: bits as in topics
	Region           string // regionId
	Trace            bool   // traceOn
	TraceTopicExists bool   // traceTopicEnable
	TraceTopic       string // msgTraceTopicName

	BindAddress    netip.Addr         // bindAddress
	BrokerPort     int                // listenPort; 0: any free one, and no fast port
	BrokerIP       netip.Addr         // brokerIP1; invalid: follows from BindAddress
	AllowAnonymous bool               // allowAnonymous
	AccessControl  bool               // aclEnable
	AccessFile     string             // aclFile
	Credentials    access.Credentials // innerClientAuthenticationCredentials
	IdleTime       time.Duration      // serverChannelMaxIdleTimeSeconds
	ConnectionsMax int                // maxConnections
	FrameTime      time.Duration      // frameMaxTimeSeconds
	Transport      Transport          // who encrypts, who is believed

	Nameservers        []string // namesrvAddr: host:port each
	NameserverEmbedded bool     // namesrvEnable
	NameserverPort     int      // namesrvListenPort; 0: any free one
	KeyValuePath       string   // kvConfigPath; "": follows from the role
	Switches           nameserver.Switches
	RegistrationPeriod time.Duration // registerNameServerPeriod

	AdminBindAddress netip.Addr    // adminBindAddress
	AdminPort        int           // adminListenPort; 0: any free one
	ShutdownTime     time.Duration // shutdownWaitTimeSeconds
	LogLevel         string        // logLevel: debug, info, warn, error

	StoreDirs        []string      // storePathRootDir; one may be empty among several
	StoreDir         string        // the first of them; of a broker: its own
	FlushDisk        FlushDisk     // flushDiskType
	FlushMethod      FlushMethod   // flushMethod
	FlushInterval    time.Duration // flushIntervalCommitLog
	SyncFlushTimeout time.Duration // syncFlushTimeout
	SegmentBytes     int64         // mappedFileSizeCommitLog
	ReadCacheBytes   int           // readCacheSize

	KeepTime        time.Duration // fileReservedTime
	DeleteHours     []int         // deleteWhen
	ExpirePercent   int           // diskMaxUsedSpaceRatio
	ForciblePercent int           // diskSpaceCleanForciblyRatio
	CleanForcibly   bool          // cleanFileForciblyEnable
	LogSizeMax      int64         // commitLogSizeMax; 0: no limit

	AutoCreateTopic          bool          // autoCreateTopicEnable
	AutoCreateGroup          bool          // autoCreateSubscriptionGroup
	StoreReplies             bool          // storeReplyMessageEnable
	PropertyFilter           bool          // enablePropertyFilter
	DefaultTopicQueues       int           // defaultTopicQueueNums
	MessageBytesMax          int           // maxMessageSize
	SendQueueTime            time.Duration // waitTimeMillsInSendQueue
	OffsetInterval           time.Duration // offsetCommitIntervalMs
	TransactionTimeout       time.Duration // transactionTimeOut
	TransactionCheckInterval time.Duration // transactionCheckInterval
	TransactionChecksMax     int           // transactionCheckMax
	RejectTransactions       bool          // rejectTransactionMessage
	DelayLevels              delay.Levels  // messageDelayLevel
	TimerMax                 time.Duration // timerMaxDelaySec
	Recall                   bool          // recallMessageEnable

	Replication Replication

	role      Role
	onlyTruth string   // takes the values of keys that may have one only
	unknown   []string // keys that mean nothing here, sorted
	given     []string // each setting as key=value, defaults included
}

// FlushDisk is when a message counts as stored: RocketMQ's flushDiskType.
type FlushDisk string

// Values of FlushDisk.
const (
	SyncFlush  FlushDisk = "SYNC_FLUSH"  // once synced to the disk
	AsyncFlush FlushDisk = "ASYNC_FLUSH" // once written; synced within FlushInterval
)

// FlushMethod is how bytes are made durable.
type FlushMethod string

// Values of FlushMethod.
const (
	Fdatasync FlushMethod = "fdatasync" // one fdatasync for all writes that wait
	Dsync     FlushMethod = "dsync"     // each write durable by itself (RWF_DSYNC)
)

// DefaultConfig is the Config of an empty file.
func DefaultConfig() Config {
	c, err := parse(ServerRole, nil)
	if err != nil {
		panic("BUG: the defaults of the settings are not allowed: " + err.Error())
	}
	return c
}

// Load is LoadRole for a server.
func Load(path string, pairs []string) (Config, error) { return LoadRole(ServerRole, path, pairs) }

// LoadRole reads a .conf file ("" for none) and then pairs of the form
// key=value, of which the last of a key wins. The error names every value that
// is wrong. A broker that is not told its nameservers takes those of the
// environment variable NAMESRV_ADDR.
func LoadRole(role Role, path string, pairs []string) (Config, error) {
	values, err := conf.Read(path, pairs)
	if err != nil {
		return Config{}, err
	}
	foreign, err := readTLSFile(values)
	if err != nil {
		return Config{}, err
	}
	c, err := parse(role, values)
	c.unknown = append(c.unknown, foreign...)
	return c, err
}

// parse takes the defaults, then the given values, then looks at how they go
// together.
func parse(role Role, values map[string]string) (Config, error) {
	c := Config{role: role}
	known := role.settings()
	wrong := conf.Apply(&c, known, values)
	c.given, c.unknown = conf.Lines(known, values), conf.Unknown(known, values)
	if len(wrong) == 0 && len(c.Replication.ClusterPeers) > 0 && c.Replication.dLegerGiven() {
		wrong = append(wrong, errors.New("configuration: clusterPeers and keys that begin with dLeger are both given: "+
			"clusterPeers is a cluster with a group for each of its nodes, the others are one group by itself; remove either"))
	}
	if len(wrong) == 0 {
		c.joinCluster(func(key string) bool { return strings.TrimSpace(values[key]) != "" })
		wrong = c.check()
	}
	return c, errors.Join(wrong...)
}

// Unknown lists the keys that were given and mean nothing here, sorted.
func (c *Config) Unknown() []string { return slices.Clone(c.unknown) }

// Properties lists all settings as they stand in a file, one on each line,
// sorted by key.
func (c *Config) Properties() string {
	return strings.Join(slices.Sorted(slices.Values(c.given)), "\n") + "\n"
}

// check finds values that are allowed each by itself but not together.
func (c *Config) check() []error {
	var wrong []error
	refuse := func(format string, args ...any) {
		wrong = append(wrong, fmt.Errorf("configuration: "+format, args...))
	}
	for _, listener := range []struct {
		key     string
		address netip.Addr
		guarded bool
		remedy  string
	}{
		{"bindAddress", c.BindAddress, c.AccessControl, "set aclEnable=true, or "},
		{"adminBindAddress", c.AdminBindAddress, false, ""},
	} {
		if !listener.address.IsLoopback() && !listener.guarded && !c.AllowAnonymous {
			refuse("%s=%s lets everybody who reaches this machine in, as there is no authentication: "+
				"%sset allowAnonymous=true if that is meant, or use 127.0.0.1", listener.key, listener.address, listener.remedy)
		}
	}
	switch {
	case !c.runsBroker() || c.NameserverEmbedded || len(c.Nameservers) > 0:
	case c.role == BrokerRole:
		refuse("namesrvAddr is missing: no client would find this broker; set namesrvAddr=host:port or the environment variable %s", conf.NameserversVariable)
	default:
		refuse("namesrvEnable=false without namesrvAddr: no client would find this broker; set namesrvAddr=host:port")
	}
	wrong = append(wrong, c.Transport.check()...)
	if c.runsBroker() {
		wrong = append(wrong, c.Replication.check(c.Transport.Server)...)
		wrong = append(wrong, c.checkShards()...)
		wrong = append(wrong, c.checkSlaves()...)
	}
	if need := commitlog.SegmentBytesMin(c.eventBytesMax()); c.runsBroker() && c.SegmentBytes < need {
		refuse("mappedFileSizeCommitLog=%d is too small for maxMessageSize=%d: use at least %d", c.SegmentBytes, c.MessageBytesMax, need)
	}
	ports := map[int]string{}
	for _, p := range c.ports() {
		if other, taken := ports[p.port]; taken && p.port != 0 {
			refuse("%s and %s are both %d: every listener needs a port of its own", other, p.key, p.port)
		}
		ports[p.port] = p.key
	}
	return wrong
}

// eventOverheadBytes bounds what an event has besides the body of its message:
// envelope, hashes of keys, topic and properties.
const eventOverheadBytes = 64 << 10

// eventBytesMax is the largest event that a message may become.
func (c *Config) eventBytesMax() int { return c.MessageBytesMax + eventOverheadBytes }

// namedPort is a port and the key it comes from.
type namedPort struct {
	key  string
	port int
}

func (c *Config) ports() []namedPort {
	if !c.runsBroker() {
		return []namedPort{{"listenPort", c.NameserverPort}, {"adminListenPort", c.AdminPort}}
	}
	ports := []namedPort{{"adminListenPort", c.AdminPort}}
	for _, s := range c.shards() {
		key := "listenPort"
		if c.severalShards() {
			key += " of " + s.BrokerName
		}
		ports = append(ports, namedPort{key, s.BrokerPort})
		if s.BrokerPort != 0 {
			ports = append(ports, namedPort{key + " - 2", s.BrokerPort - fastPortDistance})
		}
	}
	if self, found := c.Replication.self(); found && len(c.Replication.ClusterPeers) > 0 {
		_, port, _ := net.SplitHostPort(self.Address) // checked
		number, _ := strconv.Atoi(port)
		ports = append(ports, namedPort{"clusterPeers " + self.Name, number})
	}
	if r := &c.Replication; !r.Enabled && (r.isPaired() || r.HAPort != 0) {
		ports = append(ports, namedPort{"haListenPort", c.haPort()})
	}
	if c.NameserverEmbedded {
		ports = append(ports, namedPort{"namesrvListenPort", c.NameserverPort})
	}
	return ports
}
