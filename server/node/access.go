package node

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/apogeemq/apogee/server/access"
	"github.com/apogeemq/apogee/server/broker"
	"github.com/apogeemq/apogee/server/conf"
	"github.com/apogeemq/apogee/server/nameserver"
)

// homeVariable is the environment variable that names RocketMQ's folder.
const homeVariable = "ROCKETMQ_HOME"

// accessFile is where the rules are.
func (c *Config) accessFile() string {
	home := os.Getenv(homeVariable)
	if home == "" || filepath.IsAbs(c.AccessFile) {
		return c.AccessFile
	}
	return filepath.Join(home, c.AccessFile)
}

// admit refuses rules that make a public address as open as no rules would.
func (c *Config) admit(r *access.Rules) error {
	if r.Open() && !c.BindAddress.IsLoopback() && !c.AllowAnonymous {
		return fmt.Errorf("globalWhiteRemoteAddresses lets everybody who reaches this machine in, and bindAddress=%s is no loopback address: "+
			"name the addresses that are meant, or set allowAnonymous=true", c.BindAddress)
	}
	return nil
}

// openAccess reads the rules, if there are to be any. Without credentials in
// the configuration the process makes some up, for the broker to register at the
// nameserver beside it.
func (n *Node) openAccess(context.Context) error {
	c := &n.config
	if c.Credentials != (access.Credentials{}) {
		n.signer = c.Credentials
	}
	if !c.AccessControl {
		return nil
	}
	if n.signer == nil {
		c.Credentials = access.Credentials{AccessKey: "process-" + rand.Text(), SecretKey: rand.Text()}
	}
	n.insideSigner = c.Credentials
	guard, err := access.Open(access.Options{Path: c.accessFile(), Admit: c.admit, Process: c.Credentials, Log: n.log})
	if err != nil {
		return fmt.Errorf("aclEnable=true: %w; see aclFile", err)
	}
	n.guard = guard
	n.metrics.add(guard.WriteMetrics)
	n.run(guard.Watch)
	return nil
}

// authorizer is the guard, nil without one.
func (n *Node) authorizer() interface {
	broker.Authorizer
	nameserver.Authorizer
} {
	if n.guard == nil {
		return nil
	}
	return n.guard
}

// credentials are RocketMQ's {"accessKey":"…","secretKey":"…"}.
func credentials(name, doc string, field func(*Config) *access.Credentials) setting {
	s := conf.Of(name, "", `{"accessKey":"…","secretKey":"…"} or nothing`, doc, func(c *Config, v string) error {
		*field(c) = access.Credentials{}
		if v == "" {
			return nil
		}
		if err := json.Unmarshal([]byte(v), field(c)); err != nil {
			return err
		}
		if got := field(c); got.AccessKey == "" || got.SecretKey == "" {
			return conf.ErrNotAllowed
		}
		return nil
	})
	s.Secret = true
	return s
}
