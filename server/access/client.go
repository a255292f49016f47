package access

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/apogeemq/apogee/server/remoting"
)

// Client is how a program that calls servers knows them and is known to them.
// The zero value speaks no TLS and signs nothing.
type Client struct {
	TLS         *tls.Config // nil: none is spoken
	Credentials Credentials // without an access key nothing is signed
}

// Dial connects to a server at address, host:port. The options' TLS and Signer
// are the client's.
func (c Client) Dial(ctx context.Context, address string, o remoting.ClientOptions) (*remoting.Client, error) {
	o.TLS, o.Signer = c.TLS, nil
	if c.Credentials.AccessKey != "" {
		o.Signer = c.Credentials
	}
	return remoting.Dial(ctx, address, o)
}

const credentialsVariable = "APOGEE_CREDENTIALS"

// ClientOptions are what a command line says about a Client.
type ClientOptions struct {
	Credentials string // file with an access key and its secret key, "" for none
	TLS         bool   // speak TLS
	TLSRoots    string // file of certificates that vouch for servers; "" for the system's
	TLSInsecure bool   // take any certificate, as RocketMQ's clients do by default
	TLSCert     string // file of the certificate chain to show to servers that ask for one, "" for none
	TLSKey      string // file of its private key
}

// FlagSet is where flags are added to; that of a command is one.
type FlagSet interface {
	BoolVar(p *bool, name string, value bool, usage string)
	StringVar(p *string, name, value, usage string)
}

// AddFlags adds a flag for each option.
func (o *ClientOptions) AddFlags(f FlagSet) {
	f.BoolVar(&o.TLS, "tls", false, "speak TLS")
	f.StringVar(&o.TLSRoots, "tls-ca", "", "PEM `file` of certificates that vouch for servers (default: the system's); implies --tls")
	f.BoolVar(&o.TLSInsecure, "tls-insecure", false, "take any certificate: whoever is between can read and change everything; implies --tls")
	f.StringVar(&o.TLSCert, "tls-cert", "", "PEM `file` of the certificate to show to servers that ask for one; implies --tls, needs --tls-key")
	f.StringVar(&o.TLSKey, "tls-key", "", "PEM `file` of its private key, not encrypted")
	f.StringVar(&o.Credentials, "credentials", os.Getenv(credentialsVariable), "`file` with accessKey and secretKey, like RocketMQ's tools.yml, for servers with access control (default $"+credentialsVariable+")")
}

// Open reads the files that the options name.
func (o *ClientOptions) Open() (Client, error) {
	var c Client
	var err error
	if c.TLS, err = o.tls(); err == nil && o.Credentials != "" {
		c.Credentials, err = ReadCredentials(o.Credentials)
	}
	return c, err
}

// tls is how TLS is spoken, nil for not at all.
func (o *ClientOptions) tls() (*tls.Config, error) {
	if !o.TLS && o.TLSRoots == "" && !o.TLSInsecure && o.TLSCert == "" && o.TLSKey == "" {
		return nil, nil
	}
	c := &tls.Config{InsecureSkipVerify: o.TLSInsecure}
	if o.TLSCert != "" || o.TLSKey != "" {
		own, err := tls.LoadX509KeyPair(o.TLSCert, o.TLSKey)
		if err != nil {
			return nil, fmt.Errorf("read --tls-cert %q and --tls-key %q: %w", o.TLSCert, o.TLSKey, err)
		}
		c.Certificates = []tls.Certificate{own}
	}
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
