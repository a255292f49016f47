package client

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/apogeemq/apogee/server/access"
	"github.com/apogeemq/apogee/server/conf"
	"github.com/apogeemq/apogee/server/remoting"
)

const (
	defaultNameserver = "127.0.0.1:9876"
	defaultTimeout    = 5 * time.Second
)

// Options say whom to reach and how.
type Options struct {
	Nameservers string        // host:port, with ; between several
	Broker      string        // host:port of the one broker to ask, "" for all that nameservers know
	Timeout     time.Duration // of one call
	access.ClientOptions
}

// AddFlags adds the flags of all options to a command and those below it.
func (o *Options) AddFlags(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.StringVarP(&o.Nameservers, "namesrv", "n", "", "nameservers, `host:port;…` (default $"+conf.NameserversVariable+", else "+defaultNameserver+")")
	f.StringVarP(&o.Broker, "broker", "b", "", "ask only the broker at `host:port`, without a nameserver")
	f.DurationVar(&o.Timeout, "timeout", defaultTimeout, "longest wait for an answer")
	o.ClientOptions.AddFlags(f)
}

// Open checks the options. It connects to nobody yet.
func (o *Options) Open() (*Cluster, error) {
	if o.Broker != "" && o.Nameservers != "" {
		return nil, fmt.Errorf("--broker and --namesrv exclude each other: a broker is asked directly, or found by a nameserver")
	}
	if o.Timeout <= 0 {
		return nil, fmt.Errorf("--timeout %v is not allowed: use a time above 0", o.Timeout)
	}
	self, err := o.ClientOptions.Open()
	if err != nil {
		return nil, err
	}
	c := &Cluster{timeout: o.Timeout, broker: o.Broker, self: self, clients: map[string]*remoting.Client{}, log: slog.New(slog.DiscardHandler)}
	if o.Broker != "" {
		return c, checkAddress("--broker", o.Broker)
	}
	for _, address := range strings.Split(o.nameservers(), ";") {
		if address = strings.TrimSpace(address); address == "" {
			continue
		}
		if err := checkAddress("--namesrv", address); err != nil {
			return nil, err
		}
		c.nameservers = append(c.nameservers, address)
	}
	if len(c.nameservers) == 0 {
		return nil, fmt.Errorf("--namesrv %q names no nameserver: use host:port, with ; between several", o.Nameservers)
	}
	return c, nil
}

func (o *Options) nameservers() string {
	if o.Nameservers != "" {
		return o.Nameservers
	}
	if given := os.Getenv(conf.NameserversVariable); given != "" {
		return given
	}
	return defaultNameserver
}

func checkAddress(flag, address string) error {
	if host, port, err := net.SplitHostPort(address); err != nil || host == "" || port == "" {
		return fmt.Errorf("%s %q is not allowed: use host:port", flag, address)
	}
	return nil
}

// Cluster is what the options lead to. It is safe for concurrent use.
type Cluster struct {
	nameservers []string
	broker      string
	timeout     time.Duration
	self        access.Client
	log         *slog.Logger

	mu      sync.Mutex
	clients map[string]*remoting.Client // by address
}

// Close closes all connections.
func (c *Cluster) Close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, client := range c.clients {
		client.Close()
	}
	clear(c.clients)
}
