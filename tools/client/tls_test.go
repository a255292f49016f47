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

	"github.com/apogeemq/apogee/server/access"
	"github.com/apogeemq/apogee/server/remoting"
)

type answering struct{}

func (answering) Handle(rt remoting.ReplyTo, _ *remoting.Command) { rt.Send(&remoting.Reply{}) }
func (answering) Closed(*remoting.Conn)                           {}

// secureServer answers every request over TLS. It returns its address and the
// files of its certificate and its key.
func secureServer(t *testing.T, from tls.ClientAuthType) (address, roots, private string) {
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
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	private = filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(private, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := remoting.Serve(l, answering{}, remoting.Options{TLSMode: remoting.TLSEnforcing,
		TLS: &tls.Config{ClientAuth: from, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String(), roots, private
}

func TestTLSIsSpokenWithServersThatAreVouchedFor(t *testing.T) {
	t.Parallel()
	open, roots, _ := secureServer(t, tls.NoClientCert)
	asking, itsRoots, private := secureServer(t, tls.RequireAnyClientCert)
	for _, c := range []struct {
		name    string
		address string
		options access.ClientOptions
		answers bool
	}{
		{"with its certificate", open, access.ClientOptions{TLSRoots: roots}, true},
		{"with any certificate", open, access.ClientOptions{TLSInsecure: true}, true},
		{"with the system's", open, access.ClientOptions{TLS: true}, false},
		{"without TLS", open, access.ClientOptions{}, false},
		{"without a certificate of its own", asking, access.ClientOptions{TLSRoots: itsRoots}, false},
		{"with a certificate of its own", asking, access.ClientOptions{TLSRoots: itsRoots, TLSCert: itsRoots, TLSKey: private}, true},
	} {
		o := Options{Broker: c.address, Timeout: 10 * time.Second, ClientOptions: c.options}
		cluster, err := o.Open()
		if err != nil {
			t.Fatal(err)
		}
		_, err = cluster.Call(t.Context(), c.address, NewRequest(remoting.RequestHeartBeat))
		if (err == nil) != c.answers {
			t.Errorf("%s: %v", c.name, err)
		}
		cluster.Close()
	}
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	missing := filepath.Join(t.TempDir(), "missing.pem")
	for _, wrong := range []access.ClientOptions{{TLSRoots: empty}, {TLSRoots: missing}, {TLSCert: roots}, {TLSKey: private}, {TLSCert: empty, TLSKey: private}} {
		o := Options{Broker: open, Timeout: time.Second, ClientOptions: wrong}
		if c, err := o.Open(); err == nil {
			c.Close()
			t.Errorf("%+v is taken", wrong)
		}
	}
}
