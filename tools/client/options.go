package client

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/apogeemq/apogee/server/access"
	"github.com/apogeemq/apogee/server/remoting"
)

const (
	defaultNameserver   = "127.0.0.1:9876"
	nameserversVariable = "NAMESRV_ADDR"
	credentialsVariable = "APOGEE_CREDENTIALS"
	defaultTimeout      = 5 * time.Second
)

// Options say whom to reach and how.
type Options struct {
	Nameservers string        // host:port, with ; between several
	Broker      string        // host:port of the one broker to ask, "" for all that nameservers know
	Timeout     time.Duration // of one call
	Credentials string        // file with an access key and its secret key, "" for none

	TLS         bool   // speak TLS
	TLSRoots    string // file of certificates that vouch for servers; "" for the system's
	TLSInsecure bool   // take any certificate, as RocketMQ's clients do by default
}

// AddFlags adds the flags of all options to a command and those below it.
func (o *Options) AddFlags(cmd *cobra.Command) {
	f := cmd.PersistentFlags()
	f.StringVarP(&o.Nameservers, "namesrv", "n", "", "nameservers, `host:port;…` (default $"+nameserversVariable+", else "+defaultNameserver+")")
	f.StringVarP(&o.Broker, "broker", "b", "", "ask only the broker at `host:port`, without a nameserver")
	f.BoolVar(&o.TLS, "tls", false, "speak TLS")
	f.StringVar(&o.TLSRoots, "tls-ca", "", "PEM `file` of certificates that vouch for servers (default: the system's); implies --tls")
	f.BoolVar(&o.TLSInsecure, "tls-insecure", false, "take any certificate: whoever is between can read and change everything; implies --tls")
	f.DurationVar(&o.Timeout, "timeout", defaultTimeout, "longest wait for an answer")
	f.StringVar(&o.Credentials, "credentials", os.Getenv(credentialsVariable), "`file` with accessKey and secretKey, like RocketMQ's tools.yml, for servers with access control (default $"+credentialsVariable+")")
}

// Open checks the options. It connects to nobody yet.
func (o *Options) Open() (*Cluster, error) {
	if o.Broker != "" && o.Nameservers != "" {
		return nil, fmt.Errorf("--broker and --namesrv exclude each other: a broker is asked directly, or found by a nameserver")
	}
	if o.Timeout <= 0 {
		return nil, fmt.Errorf("--timeout %v is not allowed: use a time above 0", o.Timeout)
	}
	secure, err := o.tls()
	if err != nil {
		return nil, err
	}
	c := &Cluster{timeout: o.Timeout, broker: o.Broker, tls: secure, clients: map[string]*remoting.Client{}, log: slog.New(slog.DiscardHandler)}
	if o.Credentials != "" {
		who, err := access.ReadCredentials(o.Credentials)
		if err != nil {
			return nil, err
		}
		c.signer = who
	}
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

// tls is how TLS is spoken, nil for not at all.
func (o *Options) tls() (*tls.Config, error) {
	if !o.TLS && o.TLSRoots == "" && !o.TLSInsecure {
		return nil, nil
	}
	c := &tls.Config{InsecureSkipVerify: o.TLSInsecure}
	if o.TLSRoots == "" {
		return c, nil
	}
	text, err := os.ReadFile(o.TLSRoots)
	if err != nil {
		return nil, fmt.Errorf("read --tls-ca: %w", err)
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("read --tls-ca %s: there is no certificate in it", o.TLSRoots)
	}
	return c, nil
}

func (o *Options) nameservers() string {
	if o.Nameservers != "" {
		return o.Nameservers
	}
	if given := os.Getenv(nameserversVariable); given != "" {
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
	tls         *tls.Config     // nil for none
	signer      remoting.Signer // nil without credentials
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
