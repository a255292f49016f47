package node

import (
	"os"
	"path/filepath"
	"slices"

	"github.com/apogeemq/apogee/server/conf"
)

// Role says which parts of a node a process runs.
type Role string

// The roles, named like the commands that run them.
const (
	ServerRole     Role = "server"  // a broker and, unless namesrvEnable=false, a nameserver
	BrokerRole     Role = "broker"  // a broker that reports to nameservers elsewhere
	NameserverRole Role = "namesrv" // a nameserver alone; it stores nothing unless kvConfigPath is set
)

// Roles are all roles.
func Roles() []Role { return []Role{ServerRole, BrokerRole, NameserverRole} }

// notOfBroker are the keys about the nameserver inside the process.
var notOfBroker = append([]string{"namesrvEnable", "namesrvListenPort"}, onlyOfNameserver...)

// onlyOfNameserver are the keys that say what a nameserver does.
var onlyOfNameserver = []string{
	"kvConfigPath", "orderMessageEnable", "returnOrderTopicConfigToBroker",
	"enableAllTopicList", "enableTopicList", "scanNotActiveBrokerInterval",
}

// ofNameserver are the keys that a nameserver shares with a broker.
var ofNameserver = []string{
	"bindAddress", "allowAnonymous", "aclEnable", "aclFile", "serverChannelMaxIdleTimeSeconds", "maxConnections",
	"frameMaxTimeSeconds", "proxyProtocolTrusted", "tls.config.file", "tls.server.mode", "tls.test.mode.enable",
	"tls.server.certPath", "tls.server.keyPath", "tls.server.trustCertPath", "tls.server.need.client.auth",
	"tls.server.authClient", "tls.server.keyPassword",
	"adminBindAddress", "adminListenPort", "shutdownWaitTimeSeconds", "logLevel",
}

// Where a nameserver listens unless told otherwise. A broker on the same
// machine has the admin port's usual number.
const (
	nameserverPort      = "9876"
	nameserverAdminPort = "10914"
)

// settings are the keys that a process of this role knows, in the order of the
// documentation.
func (r Role) settings() []setting {
	switch r {
	case BrokerRole:
		kept := slices.DeleteFunc(slices.Clone(settings), func(s setting) bool { return slices.Contains(notOfBroker, s.Name) })
		for i := range kept {
			if kept[i].Name == "namesrvAddr" {
				kept[i].Doc = "Nameservers to register at, with `;` between them. One is needed."
				kept[i].Fallback = os.Getenv(conf.NameserversVariable)
			}
		}
		return kept
	case NameserverRole:
		// In a nameserver's file RocketMQ's listenPort is the nameserver's.
		kept := []setting{conf.Integer("listenPort", nameserverPort, 0, 65535, "Port for clients and brokers. 0 takes any free port.",
			func(c *Config) *int { return &c.NameserverPort })}
		for _, s := range settings {
			if !slices.Contains(ofNameserver, s.Name) && !slices.Contains(onlyOfNameserver, s.Name) {
				continue
			}
			if s.Name == "adminListenPort" {
				s.Fallback = nameserverAdminPort
			}
			kept = append(kept, s)
		}
		return kept
	}
	return settings
}

// SettingsTable is all settings of a role as a table of Markdown.
// docs/OPERATIONS.md repeats those of a server and of a nameserver.
func SettingsTable(role Role) string { return conf.Table(role.settings()) }

// keyValueFile is where the nameserver keeps its key-value configuration, ""
// for nowhere.
func (c *Config) keyValueFile() string {
	if c.KeyValuePath == "" && c.runsBroker() {
		return filepath.Join(c.StoreDir, "kvConfig.json")
	}
	return c.KeyValuePath
}

// runsBroker reports whether the process has a broker and with it a log.
func (c *Config) runsBroker() bool { return c.role != NameserverRole }

// runsNameserver reports whether the process has a nameserver.
func (c *Config) runsNameserver() bool { return c.role == NameserverRole || c.NameserverEmbedded }
