package agent

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/magiconair/properties"

	"github.com/apogeemq/apogee/server/access"
	"github.com/apogeemq/apogee/server/broker/delay"
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
type setting struct {
	name, fallback, allowed, doc string
	set                          func(c *Config, value string) error
}

var errNotAllowed = errors.New("not allowed")

const nameserversVariable = "NAMESRV_ADDR"

// settings is every key there is, in the order of the documentation.
var settings = []setting{
	{"namesrvAddr", "", "host:port, with ; between several", "The cluster's nameservers. Without it the environment variable NAMESRV_ADDR counts.", setNameservers},
	{"bindAddress", "127.0.0.1", "a loopback address", "Where clients on this machine find the agent. It asks nobody who they are, so it is for this machine alone.", setBind},
	{"listenPort", "9876", "0 to 65535", "The port that clients take for their nameserver; 0 takes any. Each broker of the cluster gets one more, which stays the same.",
		number(0, 65535, func(c *Config, n int64) { c.Port = int(n) })},
	{"adminListenPort", "9877", "0 to 65535", "HTTP: /metrics, /healthz, /readyz, and what the commands ask; 0 takes any.",
		number(0, 65535, func(c *Config, n int64) { c.AdminPort = int(n) })},
	{"storePathRootDir", "outbox", "a folder", "Holds the spool and what is known of the cluster. It belongs to one agent.", setDir},
	{"spoolBytesMax", "4294967296", fmt.Sprintf("%d or more", spool.BytesMin), "How large the spool's log may become. Sends that don't fit are refused.",
		number(spool.BytesMin, 1<<60, func(c *Config, n int64) { c.SpoolBytesMax = n })},
	{"forwardTimeoutMs", "1500", "100 to 60000 (milliseconds)", "How long a broker may take. After that the message is kept as a possible duplicate. It must be below the timeout of clients, 3 s as a rule.",
		number(100, 60000, func(c *Config, n int64) { c.ForwardTime = time.Duration(n) * time.Millisecond })},
	{"drainRateMax", "0", "0 to 1000000", "How many messages a second are sent on when the cluster is back; 0: as many as it takes.",
		number(0, 1000000, func(c *Config, n int64) { c.DrainRate = int(n) })},
	{"defaultTopicQueueNums", "4", "1 to 1024", "Queues of a topic while nobody knows where it is.",
		number(1, 1024, func(c *Config, n int64) { c.Queues = int(n) })},
	{"messageDelayLevel", "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h", "durations such as 10s, with blanks between",
		"What delay levels mean: the same as on the brokers.", setLevels},
	{"logLevel", "info", "debug, info, warn or error", "What is logged.", setLogLevel},
}

func number(low, high int64, field func(*Config, int64)) func(*Config, string) error {
	return func(c *Config, v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < low || n > high {
			return errNotAllowed
		}
		field(c, n)
		return nil
	}
}

func setNameservers(c *Config, v string) error {
	for _, part := range strings.Split(v, ";") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		host, port, err := net.SplitHostPort(part)
		if n, wrong := strconv.Atoi(port); err != nil || wrong != nil || host == "" || n < 1 || n > 65535 {
			return errNotAllowed
		}
		c.Nameservers = append(c.Nameservers, part)
	}
	if len(c.Nameservers) == 0 {
		return errNotAllowed
	}
	return nil
}

func setBind(c *Config, v string) error {
	address, err := netip.ParseAddr(v)
	if err != nil || !address.IsLoopback() {
		return errNotAllowed
	}
	c.BindAddress = address
	return nil
}

func setDir(c *Config, v string) error {
	if v == "" || len(v) > 4096 {
		return errNotAllowed
	}
	c.Dir = v
	return nil
}

func setLevels(c *Config, v string) (err error) {
	c.DelayLevels, err = delay.ParseLevels(v)
	return err
}

func setLogLevel(c *Config, v string) error {
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, v) {
		return errNotAllowed
	}
	c.LogLevel = v
	return nil
}

// confBytesMax bounds a configuration file.
const confBytesMax = 1 << 20

// Load reads a .conf file ("" for none) and then pairs of the form key=value,
// of which the last of a key wins. The error names every value that is wrong.
func Load(path string, pairs []string) (Config, error) {
	values := map[string]string{}
	if path != "" {
		if err := readFile(path, values); err != nil {
			return Config{}, fmt.Errorf("read configuration %s: %w", path, err)
		}
	}
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		if key = strings.TrimSpace(key); !ok || key == "" {
			return Config{}, fmt.Errorf("configuration: %q is not of the form key=value", pair)
		}
		values[key] = value
	}
	if values["namesrvAddr"] == "" {
		values["namesrvAddr"] = os.Getenv(nameserversVariable)
	}
	return parse(values)
}

func readFile(path string, values map[string]string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Size() > confBytesMax {
		return fmt.Errorf("it has %d bytes, at most %d are allowed", info.Size(), confBytesMax)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	loader := properties.Loader{Encoding: properties.UTF8, DisableExpansion: true}
	p, err := loader.LoadBytes(text)
	if err != nil {
		return err
	}
	for _, key := range p.Keys() {
		values[key], _ = p.Get(key)
	}
	return nil
}

func parse(values map[string]string) (Config, error) {
	var c Config
	var wrong []error
	for _, s := range settings {
		value, given := values[s.name]
		if !given {
			value = s.fallback
		}
		if err := s.set(&c, strings.TrimSpace(value)); err != nil {
			wrong = append(wrong, fmt.Errorf("configuration: %s=%s is not allowed: use %s", s.name, value, s.allowed))
		}
	}
	for key := range values {
		if !slices.ContainsFunc(settings, func(s setting) bool { return s.name == key }) {
			c.unknown = append(c.unknown, key)
		}
	}
	slices.Sort(c.unknown)
	if c.Port != 0 && c.Port == c.AdminPort {
		wrong = append(wrong, fmt.Errorf("configuration: listenPort and adminListenPort are both %d: each needs a port of its own", c.Port))
	}
	return c, errors.Join(wrong...)
}

// SettingsTable is all settings as a table of Markdown, as docs/OUTBOX.md has it.
func SettingsTable() string {
	var b strings.Builder
	b.WriteString("| Key | Default | Allowed | Meaning |\n|---|---|---|---|\n")
	for _, s := range settings {
		fallback := ""
		if s.fallback != "" {
			fallback = "`" + s.fallback + "`"
		}
		b.WriteString("| `" + s.name + "` | " + fallback + " | " + s.allowed + " | " + s.doc + " |\n")
	}
	return b.String()
}
