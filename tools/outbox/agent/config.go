package agent

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/apogeemq/apogee/server/access"
	"github.com/apogeemq/apogee/server/broker/delay"
	"github.com/apogeemq/apogee/server/conf"
	"github.com/apogeemq/apogee/tools/outbox/spool"
)

// Config is everything an operator decides. The comment of each field is its
// key.
type Config struct {
	Nameservers   []string      // namesrvAddr
	BindAddress   netip.Addr    // bindAddress
	Port          int           // listenPort
	AdminPort     int           // adminListenPort
	Dir           string        // storePathRootDir
	SpoolBytesMax int64         // spoolBytesMax
	ForwardTime   time.Duration // forwardTimeoutMs
	GoneAfter     time.Duration // brokerGoneAfterMs
	DrainRate     int           // drainRateMax
	Queues        int           // defaultTopicQueueNums
	DelayLevels   delay.Levels  // messageDelayLevel
	LogLevel      string        // logLevel

	// Client is how the cluster is reached; command-line flags say so.
	Client access.Client

	unknown      []string
	segmentBytes int64 // of the spool; tests take small ones
}

// setting is one key.
type setting = conf.Setting[Config]

// settings is every key there is, in the order of the documentation.
var settings = []setting{
	conf.Of("namesrvAddr", "", "host:port, with ; between several", "The cluster's nameservers. Without it the environment variable NAMESRV_ADDR counts.", setNameservers),
	conf.Of("bindAddress", "127.0.0.1", "a loopback address", "Where clients on this machine find the agent. It asks nobody who they are, so it is for this machine alone.", setBind),
	conf.Integer("listenPort", "9876", 0, 65535, "The port that clients take for their nameserver; 0 takes any. Each broker of the cluster gets one more, which stays the same.",
		func(c *Config) *int { return &c.Port }),
	conf.Integer("adminListenPort", "9877", 0, 65535, "HTTP: /metrics, /healthz, /readyz, and what the commands ask; 0 takes any.",
		func(c *Config) *int { return &c.AdminPort }),
	conf.Of("storePathRootDir", "outbox", "a folder", "Holds the spool and what is known of the cluster. It belongs to one agent.", setDir),
	conf.Of("spoolBytesMax", "4294967296", fmt.Sprintf("%d or more", spool.BytesMin), "How large the spool's log may become. Sends that don't fit are refused.", setSpoolBytes),
	conf.Duration("forwardTimeoutMs", "1500", time.Millisecond, 100, 60000, "How long a broker may take. After that the message is kept as a possible duplicate. It must be below the timeout of clients, 3 s as a rule.",
		func(c *Config) *time.Duration { return &c.ForwardTime }),
	conf.Duration("brokerGoneAfterMs", "600000", time.Millisecond, 1000, 31536000000, "After what time a broker that the routes of a topic don't name any more counts as gone for good: what waits for it goes to the topic's other brokers.",
		func(c *Config) *time.Duration { return &c.GoneAfter }),
	conf.Integer("drainRateMax", "0", 0, 1000000, "How many messages a second are sent on when the cluster is back; 0: as many as it takes.",
		func(c *Config) *int { return &c.DrainRate }),
	conf.Integer("defaultTopicQueueNums", "4", 1, 1024, "Queues of a topic while nobody knows where it is.",
		func(c *Config) *int { return &c.Queues }),
	conf.Parsed("messageDelayLevel", delay.DefaultLevels, delay.LevelsAllowed, "What delay levels mean: the same as on the brokers.", delay.ParseLevels,
		func(c *Config) *delay.Levels { return &c.DelayLevels }),
	conf.Choice("logLevel", "info", "What is logged.", func(c *Config) *string { return &c.LogLevel }, "debug", "info", "warn", "error"),
}

func setNameservers(c *Config, v string) error {
	addresses, err := conf.ParseAddresses(v)
	if err == nil && len(addresses) == 0 {
		return conf.ErrNotAllowed
	}
	c.Nameservers = addresses
	return err
}

func setBind(c *Config, v string) error {
	address, err := netip.ParseAddr(v)
	if err != nil || !address.IsLoopback() {
		return conf.ErrNotAllowed
	}
	c.BindAddress = address
	return nil
}

func setDir(c *Config, v string) error {
	if v == "" || len(v) > 4096 {
		return conf.ErrNotAllowed
	}
	c.Dir = v
	return nil
}

func setSpoolBytes(c *Config, v string) (err error) {
	c.SpoolBytesMax, err = conf.Number(v, spool.BytesMin, 1<<60)
	return err
}

// Load reads a .conf file ("" for none) and then pairs of the form key=value,
// of which the last of a key wins. The error names every value that is wrong.
func Load(path string, pairs []string) (Config, error) {
	values, err := conf.Read(path, pairs)
	if err != nil {
		return Config{}, err
	}
	if values["namesrvAddr"] == "" {
		values["namesrvAddr"] = os.Getenv(conf.NameserversVariable)
	}
	var c Config
	wrong := conf.Apply(&c, settings, values)
	c.unknown = conf.Unknown(settings, values)
	if c.Port != 0 && c.Port == c.AdminPort {
		wrong = append(wrong, fmt.Errorf("configuration: listenPort and adminListenPort are both %d: each needs a port of its own", c.Port))
	}
	return c, errors.Join(wrong...)
}

// SettingsTable is all settings as a table of Markdown, as docs/OUTBOX.md has it.
func SettingsTable() string { return conf.Table(settings) }
