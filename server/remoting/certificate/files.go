package certificate

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// fileBytesMax bounds each file that is read.
const fileBytesMax = 1 << 20

// ClientAuth says whether a server asks clients for a certificate: RocketMQ's
// tls.server.need.client.auth.
type ClientAuth string

// Values of ClientAuth.
const (
	ClientAuthNone     ClientAuth = "none"
	ClientAuthOptional ClientAuth = "optional"
	ClientAuthRequire  ClientAuth = "require"
)

// Files name the PEM files of one side. Empty paths mean none.
type Files struct {
	CertificatePath string // chain, our own certificate first
	KeyPath         string // private key, not encrypted
	TrustPath       string // certificates that peers' must be signed by; empty: the system's
	VerifyPeer      bool   // false: any certificate of the peer will do
}

// content is what stands in the files.
type content struct{ certificate, key, trust []byte }

func (c *content) equal(o *content) bool {
	return bytes.Equal(c.certificate, o.certificate) && bytes.Equal(c.key, o.key) && bytes.Equal(c.trust, o.trust)
}

func (f *Files) read() (*content, error) {
	var c content
	var failed []error
	for _, file := range []struct {
		path string
		into *[]byte
	}{{f.CertificatePath, &c.certificate}, {f.KeyPath, &c.key}, {f.TrustPath, &c.trust}} {
		if file.path == "" {
			continue
		}
		var err error
		if *file.into, err = readFile(file.path); err != nil {
			failed = append(failed, fmt.Errorf("read TLS file: %w", err))
		}
	}
	return &c, errors.Join(failed...)
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > fileBytesMax {
		return nil, fmt.Errorf("%s: it has to be a file of at most %d bytes", path, fileBytesMax)
	}
	return os.ReadFile(path)
}

// pair is the certificate with its key.
func (f *Files) pair(c *content) (tls.Certificate, error) {
	pair, err := tls.X509KeyPair(c.certificate, c.key)
	if err == nil {
		return pair, nil
	}
	if bytes.Contains(c.key, []byte("ENCRYPTED")) {
		return pair, fmt.Errorf("load TLS key %s: it is encrypted; write it without a password (openssl pkcs8 -in old.key -out new.key) "+
			"and let nobody but this process read the file", f.KeyPath)
	}
	return pair, fmt.Errorf("load TLS certificate %s with key %s: %w", f.CertificatePath, f.KeyPath, err)
}

// roots are the certificates to trust, nil for the system's.
func (f *Files) roots(c *content) (*x509.CertPool, error) {
	if f.TrustPath == "" {
		return nil, nil
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(c.trust) {
		return nil, fmt.Errorf("load TLS certificates to trust from %s: there is none in the file", f.TrustPath)
	}
	return pool, nil
}
