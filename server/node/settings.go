package node

import (
	"net/netip"
	"time"

	"github.com/apogeemq/apogee/replication"
	"github.com/apogeemq/apogee/server/access"
	"github.com/apogeemq/apogee/server/broker/delay"
	"github.com/apogeemq/apogee/server/conf"
	"github.com/apogeemq/apogee/server/nameserver"
	"github.com/apogeemq/apogee/server/remoting"
	"github.com/apogeemq/apogee/server/remoting/certificate"
)

// fastPortDistance: RocketMQ's clients expect a second port for everything but
// pulls at listenPort - 2.
const fastPortDistance = 2

// setting is one key.
type setting = conf.Setting[Config]

// settings is every key there is, in the order of the documentation.
var settings = []setting{
	conf.Text("brokerClusterName", "DefaultCluster", "Cluster that this broker belongs to.",
		func(c *Config) *string { return &c.ClusterName }),
	conf.Text("brokerName", "broker-a", "Name of the broker in routes. Each broker of a cluster has its own; nodes of `clusterPeers` have the same.",
		func(c *Config) *string { return &c.BrokerName }),
	conf.Integer("brokerId", "0", 0, 9999, "0 is the master, others are slaves of the master of the same `brokerName`. After a switch the roles are others: the log tells. With `enableDLegerCommitLog` it follows from the node's role and `dLegerSelfId`.",
		func(c *Config) *int { return &c.Replication.BrokerID }),
	conf.Choice("brokerRole", string(AsyncMaster), "SYNC_MASTER: a message is confirmed once `inSyncReplicas` have it. ASYNC_MASTER: once this broker has it. SLAVE: keeps a copy of the log of the master of the same `brokerName`. With `enableDLegerCommitLog` nodes settle who leads by themselves.",
		func(c *Config) *BrokerKind { return &c.Replication.Kind }, SyncMaster, AsyncMaster, Slave),
	conf.Integer("brokerPermission", "6", 0, 7, "What clients may do with this broker: 4 read, 2 write, 6 both.",
		func(c *Config) *int { return &c.BrokerPermission }),
	conf.Text("regionId", "DefaultRegion", "Region that is stored with each message.",
		func(c *Config) *string { return &c.Region }),
	conf.Boolean("traceOn", "true", "Tells clients to send trace messages if they are set up to.",
		func(c *Config) *bool { return &c.Trace }),
	conf.Boolean("traceTopicEnable", "false", "Creates the topic for traces at the start, with one queue. Otherwise the first trace creates it, if `autoCreateTopicEnable` is on.",
		func(c *Config) *bool { return &c.TraceTopicExists }),
	conf.Text("msgTraceTopicName", "RMQ_SYS_TRACE_TOPIC", "The topic that `traceTopicEnable` creates. Clients have to be told of another one.",
		func(c *Config) *string { return &c.TraceTopic }),

	conf.IP("bindAddress", "127.0.0.1", "Address to listen on. Others than loopback need `aclEnable=true` or `allowAnonymous=true`. With `clusterPeers` the node's own address there, unless given.",
		func(c *Config) *netip.Addr { return &c.BindAddress }),
	conf.Integer("listenPort", "10911", 0, 65535, "Port for clients. `listenPort - 2` is open as well, for clients with `vipChannelEnabled`. 0 takes any free port and opens no second one. Of several brokers in a process number *i* has `listenPort` + 10*i*.",
		func(c *Config) *int { return &c.BrokerPort }),
	conf.OptionalIP("brokerIP1", "", "Address that clients are told. Empty: `bindAddress`, or this machine's first address where that is 0.0.0.0.",
		func(c *Config) *netip.Addr { return &c.BrokerIP }),
	conf.Integer("haListenPort", "0", 0, 65535, "Port for slaves. 0 is `listenPort + 1`. A broker with the role ASYNC_MASTER that nobody can reach but slaves that prove themselves takes them there, too.",
		func(c *Config) *int { return &c.Replication.HAPort }),
	conf.OptionalIP("brokerIP2", "", "Address that slaves are told. Empty: that which clients are told.",
		func(c *Config) *netip.Addr { return &c.Replication.HAIP }),
	conf.Boolean("allowAnonymous", "false", "Lets the server listen on other addresses than loopback although nobody has to prove who they are.",
		func(c *Config) *bool { return &c.AllowAnonymous }),
	conf.Duration("serverChannelMaxIdleTimeSeconds", "120", time.Second, 1, 86400, "Connections without traffic for so long are closed.",
		func(c *Config) *time.Duration { return &c.IdleTime }),
	conf.Integer("maxConnections", "65536", 1, 1<<20, "Connections of each listener; further ones are closed at once.",
		func(c *Config) *int { return &c.ConnectionsMax }),
	conf.Duration("frameMaxTimeSeconds", "60", time.Second, 1, 86400, "A connection whose request takes longer to arrive, from its first bytes to its last, is closed.",
		func(c *Config) *time.Duration { return &c.FrameTime }),
	conf.Networks("proxyProtocolTrusted", "", "Load balancers whose PROXY headers are believed: the client's address in them counts as the connection's. Those of others are read and have no effect.",
		func(c *Config) *[]netip.Prefix { return &c.Transport.ProxyTrusted }),

	conf.Optional("tls.config.file", "", "A tls.properties file, as RocketMQ reads it from /etc/rocketmq/tls.properties: its keys that begin with `tls.` count where neither this file nor the command line has them.",
		func(c *Config) *string { return &c.Transport.File }),
	conf.Choice("tls.server.mode", string(remoting.TLSPermissive), "permissive takes plain and TLS connections on the same port, enforcing only TLS, disabled only plain ones.",
		func(c *Config) *remoting.TLSMode { return &c.Transport.Mode }, remoting.TLSPermissive, remoting.TLSEnforcing, remoting.TLSDisabled),
	conf.Boolean("tls.test.mode.enable", "true", "Without `tls.server.certPath`: makes a certificate for this process. It encrypts; it proves nothing.",
		func(c *Config) *bool { return &c.Transport.SelfSigned }),
	conf.Optional("tls.server.certPath", "", "The server's certificate chain, PEM. It and the next two files are read again when they change.",
		func(c *Config) *string { return &c.Transport.Server.CertificatePath }),
	conf.Optional("tls.server.keyPath", "", "The server's private key, PEM, not encrypted.",
		func(c *Config) *string { return &c.Transport.Server.KeyPath }),
	conf.Optional("tls.server.trustCertPath", "", "Certificates that those of clients must be signed by, PEM. Empty: the system's.",
		func(c *Config) *string { return &c.Transport.Server.TrustPath }),
	conf.Choice("tls.server.need.client.auth", string(certificate.ClientAuthNone), "Whether clients need a certificate.",
		func(c *Config) *certificate.ClientAuth { return &c.Transport.ClientAuth },
		certificate.ClientAuthNone, certificate.ClientAuthOptional, certificate.ClientAuthRequire),
	conf.Boolean("tls.server.authClient", "false", "Verifies the certificates of clients. With false any will do, as in RocketMQ.",
		func(c *Config) *bool { return &c.Transport.Server.VerifyPeer }),
	conf.Boolean("tls.enable", "false", "Speaks TLS to the nameservers of `namesrvAddr`.",
		func(c *Config) *bool { return &c.Transport.Client }),
	conf.Optional("tls.client.certPath", "", "The certificate to show to nameservers, PEM.",
		func(c *Config) *string { return &c.Transport.ClientFiles.CertificatePath }),
	conf.Optional("tls.client.keyPath", "", "Its private key, PEM, not encrypted.",
		func(c *Config) *string { return &c.Transport.ClientFiles.KeyPath }),
	conf.Optional("tls.client.trustCertPath", "", "Certificates that those of nameservers must be signed by, PEM. Empty: the system's.",
		func(c *Config) *string { return &c.Transport.ClientFiles.TrustPath }),
	conf.Boolean("tls.client.authServer", "false", "Verifies the certificates of nameservers. With false any will do, as in RocketMQ.",
		func(c *Config) *bool { return &c.Transport.ClientFiles.VerifyPeer }),
	noPassword("tls.server.keyPassword"),
	noPassword("tls.client.keyPassword"),

	conf.Addresses("namesrvAddr", "", "Nameservers to register at, with `;` between them, besides the embedded one. With `clusterPeers` on several machines those embedded in the other nodes, unless given.",
		func(c *Config) *[]string { return &c.Nameservers }),
	conf.Boolean("namesrvEnable", "true", "Runs a nameserver in this process.",
		func(c *Config) *bool { return &c.NameserverEmbedded }),
	conf.Integer("namesrvListenPort", "9876", 0, 65535, "Port of the embedded nameserver. 0 takes any free port.",
		func(c *Config) *int { return &c.NameserverPort }),
	conf.Optional("kvConfigPath", "", "File of the nameserver's key-value configuration, in RocketMQ's format. Empty: `kvConfig.json` below `storePathRootDir`; a nameserver alone then keeps it in memory.",
		func(c *Config) *string { return &c.KeyValuePath }),
	conf.Boolean("orderMessageEnable", "false", "Routes tell how an ordered topic is spread over brokers, as `mqadmin updateOrderConf` has set it. Can be changed while the nameserver runs.",
		func(c *Config) *bool { return &c.Switches.OrderInRoutes }),
	conf.Boolean("returnOrderTopicConfigToBroker", "true", "Brokers that register are told the same. Can be changed while the nameserver runs.",
		func(c *Config) *bool { return &c.Switches.OrderToBrokers }),
	conf.Boolean("enableAllTopicList", "true", "The nameserver lists all topics to whoever asks. Can be changed while it runs.",
		func(c *Config) *bool { return &c.Switches.AllTopicsListed }),
	conf.Boolean("enableTopicList", "true", "The nameserver lists the topics of a cluster or unit to whoever asks. Can be changed while it runs.",
		func(c *Config) *bool { return &c.Switches.TopicsListed }),
	conf.Duration("scanNotActiveBrokerInterval", "5000", time.Millisecond,
		nameserver.MinScanInterval.Milliseconds(), nameserver.MaxScanInterval.Milliseconds(),
		"How often the nameserver looks for brokers that are silent (120 s unless they ask for another time). Can be changed while it runs.",
		func(c *Config) *time.Duration { return &c.Switches.ScanInterval }),

	conf.Duration("registerNameServerPeriod", "30000", time.Millisecond, 10_000, 60_000, "How often the broker reports to the nameservers. Changes of topics are reported at once.",
		func(c *Config) *time.Duration { return &c.RegistrationPeriod }),

	conf.IP("adminBindAddress", "127.0.0.1", "Address of the HTTP server for operators. Others than loopback need `allowAnonymous=true`.",
		func(c *Config) *netip.Addr { return &c.AdminBindAddress }),
	conf.Integer("adminListenPort", "10913", 0, 65535, "Port of the HTTP server for operators: `/metrics`, `/healthz`, `/readyz`, `/track`, `/debug/pprof`. 0 takes any free port.",
		func(c *Config) *int { return &c.AdminPort }),
	conf.Duration("shutdownWaitTimeSeconds", "30", time.Second, 1, 3600, "How long a stop waits for requests under way.",
		func(c *Config) *time.Duration { return &c.ShutdownTime }),
	conf.Choice("logLevel", "info", "Lines below this level are not logged.",
		func(c *Config) *string { return &c.LogLevel }, "debug", "info", "warn", "error"),

	directories("storePathRootDir", "./data", "Folder of everything that is stored. It is created where needed. Several, one for each device, run a broker in each; with `clusterPeers` group n0 is in the first, n1 in the second and so on, then from the first on again. An empty place among them leaves one out."),
	conf.Choice("flushDiskType", string(SyncFlush), "SYNC_FLUSH: a message is confirmed once it is synced to the disk. ASYNC_FLUSH: once it is written; it survives the death of the process, not of the power.",
		func(c *Config) *FlushDisk { return &c.FlushDisk }, SyncFlush, AsyncFlush),
	conf.Choice("flushMethod", string(Fdatasync), "fdatasync serves all waiting writes with one sync. dsync makes each write durable by itself: for devices with FUA or power-loss protection.",
		func(c *Config) *FlushMethod { return &c.FlushMethod }, Fdatasync, Dsync),
	conf.Duration("flushIntervalCommitLog", "500", time.Millisecond, 1, 60_000, "With ASYNC_FLUSH: time between syncs.",
		func(c *Config) *time.Duration { return &c.FlushInterval }),
	conf.Duration("syncFlushTimeout", "5000", time.Millisecond, 1, 600_000, "With SYNC_FLUSH: a send whose sync takes longer is answered with FLUSH_DISK_TIMEOUT. It is stored.",
		func(c *Config) *time.Duration { return &c.SyncFlushTimeout }),
	conf.Multiple("mappedFileSizeCommitLog", "1073741824", 4096, 1<<20, 1<<32-4096, "Size of new log files; those that exist keep theirs. At least about five of the largest messages.",
		func(c *Config) *int64 { return &c.SegmentBytes }),
	conf.Integer("readCacheSize", "134217728", 1<<20, 1<<40, "Bytes of memory for reading old messages, of each broker in the process.",
		func(c *Config) *int { return &c.ReadCacheBytes }),

	conf.Duration("fileReservedTime", "72", time.Hour, 1, 1_000_000, "A log file whose newest message is older goes, whether anybody has consumed it or not.",
		func(c *Config) *time.Duration { return &c.KeepTime }),
	conf.Hours("deleteWhen", "04", "Hours of the day, local time, in which old files go. Where the disk fills they go at any hour.",
		func(c *Config) *[]int { return &c.DeleteHours }),
	conf.Integer("diskMaxUsedSpaceRatio", "75", 10, 95, "Percent of the disk; while more is used, old files go at any hour.",
		func(c *Config) *int { return &c.ExpirePercent }),
	conf.Integer("diskSpaceCleanForciblyRatio", "85", 10, 95, "Percent of the disk; while more is used, the oldest files go although they are young.",
		func(c *Config) *int { return &c.ForciblePercent }),
	conf.Boolean("cleanFileForciblyEnable", "true", "false: young files never go because the disk is full; when it is, sends are refused.",
		func(c *Config) *bool { return &c.CleanForcibly }),
	conf.Bytes("commitLogSizeMax", "0", "Bytes; while the files of the log are longer, the oldest go at any hour. 0: no limit. The newest file always stays.",
		func(c *Config) *int64 { return &c.LogSizeMax }),

	conf.Boolean("autoCreateTopicEnable", "true", "A send to a topic that doesn't exist creates it.",
		func(c *Config) *bool { return &c.AutoCreateTopic }),
	conf.Boolean("autoCreateSubscriptionGroup", "true", "The first use of a consumer group creates it.",
		func(c *Config) *bool { return &c.AutoCreateGroup }),
	conf.Boolean("storeReplyMessageEnable", "true", "Replies to requests are stored, besides being passed on to whoever asked.",
		func(c *Config) *bool { return &c.StoreReplies }),
	conf.Boolean("enablePropertyFilter", "true", "Consumers may choose messages by their properties, with SQL92 expressions.",
		func(c *Config) *bool { return &c.PropertyFilter }),
	conf.Integer("defaultTopicQueueNums", "8", 1, 65535, "Queues of topics that a send creates, if the client doesn't ask for fewer.",
		func(c *Config) *int { return &c.DefaultTopicQueues }),
	conf.Integer("maxMessageSize", "4194304", 1024, 15<<20, "Bytes that the body of a message, or of a batch, may have.",
		func(c *Config) *int { return &c.MessageBytesMax }),
	conf.Parsed("messageDelayLevel", delay.DefaultLevels, delay.LevelsAllowed, "What the delay levels 1, 2 and so on stand for: numbers with s, m, h or d. Messages that wait already keep their time.",
		delay.ParseLevels,
		func(c *Config) *delay.Levels { return &c.DelayLevels }),
	conf.Duration("timerMaxDelaySec", "259200", time.Second, 1, 315_360_000, "How far ahead the time of a delayed message (`TIMER_DELAY_SEC`, `TIMER_DELAY_MS`, `TIMER_DELIVER_MS`) may be.",
		func(c *Config) *time.Duration { return &c.TimerMax }),
	conf.Boolean("recallMessageEnable", "false", "Producers may take back a message that waits for its time.",
		func(c *Config) *bool { return &c.Recall }),
	conf.Duration("waitTimeMillsInSendQueue", "200", time.Millisecond, 1, 60_000, "How long a send waits when too much waits already; then it is refused with SYSTEM_BUSY and nothing is stored.",
		func(c *Config) *time.Duration { return &c.SendQueueTime }),
	conf.Duration("offsetCommitIntervalMs", "100", time.Millisecond, 1, 60_000, "Consumer offsets are gathered for so long before they are stored. A crash sets consumers back by no more than that.",
		func(c *Config) *time.Duration { return &c.OffsetInterval }),

	conf.Duration("transactionTimeOut", "6000", time.Millisecond, 1, 3_600_000, "How long a transactional message waits for its outcome before a producer of its group is asked for it; `CHECK_IMMUNITY_TIME_IN_SECONDS` of the message goes before.",
		func(c *Config) *time.Duration { return &c.TransactionTimeout }),
	conf.Duration("transactionCheckInterval", "30000", time.Millisecond, 100, 86_400_000, "After a check without an answer the next one comes so much later.",
		func(c *Config) *time.Duration { return &c.TransactionCheckInterval }),
	conf.Integer("transactionCheckMax", "15", 0, 1<<31-1, "After so many checks, or when older than `fileReservedTime`, the message goes to `TRANS_CHECK_MAX_TIME_TOPIC`.",
		func(c *Config) *int { return &c.TransactionChecksMax }),
	conf.Boolean("rejectTransactionMessage", "false", "Transactional messages are refused.",
		func(c *Config) *bool { return &c.RejectTransactions }),

	conf.Boolean("aclEnable", "false", "Serves requests only from accounts of `aclFile` that sign them, each with what it is permitted.",
		func(c *Config) *bool { return &c.AccessControl }),
	conf.Text("aclFile", "conf/plain_acl.yml", "Accounts and permissions, as RocketMQ 4 has them. A relative path is below `$ROCKETMQ_HOME` if that is set. It is read again when it changes.",
		func(c *Config) *string { return &c.AccessFile }),
	credentials("innerClientAuthenticationCredentials", "With what the broker signs its registrations at nameservers with access control. The nameserver in the same process needs none.",
		func(c *Config) *access.Credentials { return &c.Credentials }),
	refusedFor("authenticationEnabled", "Accounts are in a file: use `aclEnable` and `aclFile`."),
	refusedFor("authorizationEnabled", "Permissions are in a file: use `aclEnable` and `aclFile`."),

	conf.Boolean("enableDLegerCommitLog", "false", "The broker is one of a group that keeps the same log: what is confirmed is on a majority, and when the leader fails another takes over.",
		func(c *Config) *bool { return &c.Replication.Enabled }),
	conf.Optional("dLegerGroup", "", "Name of the group; the same on all nodes. Empty: `brokerName`.",
		func(c *Config) *string { return &c.Replication.Group }),
	peers("dLegerPeers", "Nodes of the group, with addresses of their own for replication, the same on all nodes. A new group has them all as members; later ones are added with `apogee admin add-peer`.",
		func(c *Config) *[]replication.Peer { return &c.Replication.Peers }),
	conf.Optional("dLegerSelfId", "", "Which of `dLegerPeers` this node is.",
		func(c *Config) *string { return &c.Replication.Self }),
	peers("clusterPeers", "Nodes of a cluster, as in `dLegerPeers`, the same on all of them. There is a group for each node, called `brokerName`-n0 and so on, with a replica on all nodes; group n*i* is led by node n*i* while it can be, and has the ports `listenPort` + 10*i*.",
		func(c *Config) *[]replication.Peer { return &c.Replication.ClusterPeers }),
	conf.Optional("clusterSelfId", "", "Which of `clusterPeers` this node is.",
		func(c *Config) *string { return &c.Replication.ClusterSelf }),
	conf.Duration("leaderReturnDelayMs", "30000", time.Millisecond, 0, 86_400_000, "With `clusterPeers`: a group is given back to its own node when that has had all of the log for so long. 0: never.",
		func(c *Config) *time.Duration { return &c.Replication.ReturnDelay }),
	secret("clusterSecret", "What the nodes of a group, or master and slaves, prove to each other that they know, the same on all of them. Needed where master and slave are on different machines, where `clusterPeers` or `dLegerPeers` has addresses of other machines, or `clusterTls`.",
		func(c *Config) *string { return &c.Replication.Secret }),
	conf.Boolean("clusterTls", "false", "Encrypts replication. Nodes show each other `tls.server.certPath`, signed by `tls.server.trustCertPath`.",
		func(c *Config) *bool { return &c.Replication.TLS }),
	conf.Duration("slaveTimeout", "5000", time.Millisecond, 1, 600_000, "A send that slaves, or in a group the majority, don't have after so long is answered with FLUSH_SLAVE_TIMEOUT. It is stored on this node.",
		func(c *Config) *time.Duration { return &c.Replication.SlaveTimeout }),
	conf.Duration("electionTimeoutMs", "500", time.Millisecond, 50, 60_000, "In a group: after so long without a sign of the leader the others elect another, after twice as long at the latest.",
		func(c *Config) *time.Duration { return &c.Replication.Heartbeat }),
	conf.Duration("flushStallMs", "1000", time.Millisecond, 10, 600_000, "In a group: a leader whose disk takes longer for a sync gives up leadership.",
		func(c *Config) *time.Duration { return &c.Replication.FlushStall }),
	conf.Bytes("maxHaTransferByteInSecond", "104857600", "In a group: bytes a second that a replica is sent at most which is far behind, so that it doesn't take the disk and the network from clients. 0: no limit.",
		func(c *Config) *int64 { return &c.Replication.CatchUpBytes }),
	refusedFor("enableControllerMode", "There is no controller: for automatic failover use `enableDLegerCommitLog`."),
	conf.Integer("inSyncReplicas", "2", 1, 16, "With SYNC_MASTER, and on a slave for when it is made the master: how many brokers must have a message before it is confirmed and consumers see it, the master among them. 1 waits for no slave.",
		func(c *Config) *int { return &c.Replication.InSyncReplicas }),
	conf.Duration("haMaxTimeSlaveNotCatchup", "15000", time.Millisecond, 1000, 600_000, "A slave that hasn't seen the end of the log for so long isn't waited for until it has caught up.",
		func(c *Config) *time.Duration { return &c.Replication.CatchUpTime }),
	conf.Optional("haMasterAddress", "", "On a slave: host:port of its master's `haListenPort`. Empty: the nameservers tell.",
		func(c *Config) *string { return &c.Replication.HAMaster }),
	conf.Boolean("forceMaster", "false", "A broker that was the master serves at once after a start, without having asked its slaves and the nameservers whether there is another master by now. For one start, when those are gone; otherwise two may serve.",
		func(c *Config) *bool { return &c.Replication.ForceMaster }),
	onlyOne("totalReplicas"),
	onlyOne("minInSyncReplicas"),
}

func refusedFor(name, doc string) setting {
	return conf.Choice(name, "false", doc, func(c *Config) *string { return &c.onlyTruth }, "false")
}

func onlyOne(name string) setting {
	return conf.Choice(name, "1", "It belongs to RocketMQ's controller, which there is none of: see `inSyncReplicas`.",
		func(c *Config) *string { return &c.onlyTruth }, "1")
}

func noPassword(name string) setting {
	s := conf.Optional(name, "", "Keys with a password are not read: write them without one and let nobody else read the file.",
		func(c *Config) *string { return &c.onlyTruth })
	s.Allowed, s.Secret = "only nothing", true
	set := s.Set
	s.Set = func(c *Config, v string) error {
		if v != "" {
			return conf.ErrNotAllowed
		}
		return set(c, v)
	}
	return s
}
