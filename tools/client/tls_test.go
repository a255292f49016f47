package client

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/apogeemq/apogee/server/remoting"
)

type answering struct{}

func (answering) Handle(rt remoting.ReplyTo, _ *remoting.Command) { rt.Send(&remoting.Reply{}) }
func (answering) Closed(*remoting.Conn)                           {}

// secureServer answers every request over TLS. It returns its address and the
// file of its certificate.
func secureServer(t *testing.T) (address, roots string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	roots = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(roots, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := remoting.Serve(l, answering{}, remoting.Options{TLSMode: remoting.TLSEnforcing,
		TLS: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String(), roots
}

func TestTLSIsSpokenWithServersThatAreVouchedFor(t *testing.T) {
	t.Parallel()
	address, roots := secureServer(t)
	for _, c := range []struct {
		name    string
		options Options
		answers bool
	}{
		{"with its certificate", Options{TLSRoots: roots}, true},
		{"with any certificate", Options{TLSInsecure: true}, true},
		{"with the system's", Options{TLS: true}, false},
		{"without TLS", Options{}, false},
	} {
		c.options.Broker, c.options.Timeout = address, 10*time.Second
		cluster, err := c.options.Open()
		if err != nil {
			t.Fatal(err)
		}
		_, err = cluster.Call(t.Context(), address, NewRequest(remoting.RequestHeartBeat))
		if (err == nil) != c.answers {
			t.Errorf("%s: %v", c.name, err)
		}
		cluster.Close()
	}
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{empty, filepath.Join(t.TempDir(), "missing.pem")} {
		o := Options{Broker: address, Timeout: time.Second, TLSRoots: file}
		if c, err := o.Open(); err == nil {
			c.Close()
			t.Errorf("%s is taken", file)
		}
	}
}
