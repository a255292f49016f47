package node

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/apogeemq/apogee/server/conf"
	"github.com/apogeemq/apogee/server/remoting"
	"github.com/apogeemq/apogee/server/remoting/certificate"
)

// Transport says which connections are encrypted, who may connect, and whose
// word is taken for a client's address.
type Transport struct {
	File         string                 // tls.config.file
	Mode         remoting.TLSMode       // tls.server.mode
	SelfSigned   bool                   // tls.test.mode.enable
	Server       certificate.Files      // tls.server.certPath, .keyPath, .trustCertPath, .authClient
	ClientAuth   certificate.ClientAuth // tls.server.need.client.auth
	Client       bool                   // tls.enable
	ClientFiles  certificate.Files      // tls.client.certPath, .keyPath, .trustCertPath, .authServer
	ProxyTrusted []netip.Prefix         // proxyProtocolTrusted
}

// tlsPrefix is what the keys begin with that a tls.properties file may have.
const tlsPrefix = "tls."

// readTLSFile adds what the file named by tls.config.file says and the values
// do not. It returns the file's keys that are not about TLS.
func readTLSFile(values map[string]string) (foreign []string, err error) {
	path := strings.TrimSpace(values["tls.config.file"])
	if path == "" {
		return nil, nil
	}
	fromFile, err := conf.Read(path, nil)
	if err != nil {
		return nil, err
	}
	for key, value := range fromFile {
		if !strings.HasPrefix(key, tlsPrefix) {
			foreign = append(foreign, key)
		} else if _, given := values[key]; !given {
			values[key] = value
		}
	}
	slices.Sort(foreign)
	return foreign, nil
}

// check finds values that do not go together.
func (t *Transport) check() []error {
	var wrong []error
	if t.Mode == remoting.TLSEnforcing && t.Server.CertificatePath == "" && !t.SelfSigned {
		wrong = append(wrong, errors.New("configuration: tls.server.mode=enforcing without a certificate lets nobody in: set tls.server.certPath and tls.server.keyPath"))
	}
	for _, side := range []struct {
		name  string
		files certificate.Files
	}{{"server", t.Server}, {"client", t.ClientFiles}} {
		if (side.files.CertificatePath == "") != (side.files.KeyPath == "") {
			wrong = append(wrong, fmt.Errorf("configuration: tls.%s.certPath and tls.%s.keyPath go together: set both or none", side.name, side.name))
		}
	}
	return wrong
}

// connectionOptions are those of all listeners. With TLS they begin to watch
// the certificate files.
func (n *Node) connectionOptions() (remoting.Options, error) {
	t := &n.config.Transport
	o := remoting.Options{ConnectionsMax: n.config.ConnectionsMax, IdleTimeout: n.config.IdleTime, FrameTimeout: n.config.FrameTime,
		ProxyTrusted: t.ProxyTrusted, TLSMode: t.Mode, Logger: n.log}
	if t.Mode == remoting.TLSDisabled {
		return o, nil
	}
	server, err := certificate.NewServer(certificate.ServerOptions{Files: t.Server, ClientAuth: t.ClientAuth, SelfSigned: t.SelfSigned, Log: n.log})
	if errors.Is(err, certificate.ErrNone) {
		n.log.Warn("TLS connections are refused, as there is no certificate; set tls.server.certPath and tls.server.keyPath, or tls.server.mode=disabled")
		return o, nil
	}
	if err != nil {
		return o, err
	}
	if t.ClientAuth != certificate.ClientAuthNone && !t.Server.VerifyPeer {
		n.log.Warn("clients are asked for a certificate, and any is good enough: set tls.server.authClient=true to verify them")
	}
	o.TLS = server.Config()
	n.run(server.Watch)
	return o, nil
}

// dialNameservers is how the broker reaches nameservers: the one inside this
// process directly, so that no certificate can keep them apart.
func (n *Node) dialNameservers() (func(context.Context, string) (*remoting.Client, error), error) {
	options := remoting.ClientOptions{Logger: n.log, Signer: n.signer}
	if n.config.Transport.Client {
		config, err := certificate.NewClient(n.config.Transport.ClientFiles)
		if err != nil {
			return nil, err
		}
		options.TLS = config
	}
	embedded := ""
	if n.nameserver != nil {
		embedded = reachableHere(n.addresses.Nameserver).String()
	}
	return func(ctx context.Context, address string) (*remoting.Client, error) {
		if address == embedded {
			return n.nameserver.DialInside(remoting.ClientOptions{Logger: n.log, Signer: n.insideSigner}), nil
		}
		return remoting.Dial(ctx, n.faults.reach(address), options)
	}, nil
}
