package certificate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

var quiet = slog.New(slog.DiscardHandler)

// authority signs certificates for tests.
type authority struct {
	t           testing.TB
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t testing.TB) *authority {
	a := &authority{t: t}
	template := certificateTemplate("authority")
	template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	a.certificate, a.key = a.sign(template)
	return a
}

func certificateTemplate(name string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: name},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
}

// sign makes a certificate and its key, signed by the authority or, before it
// has a key, by itself.
func (a *authority) sign(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	parent, signer := a.certificate, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return certificate, key
}

// issue writes a certificate, its key and the authority's certificate.
func (a *authority) issue(name string) Files {
	certificate, key := a.sign(certificateTemplate(name))
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	dir := a.t.TempDir()
	f := Files{CertificatePath: filepath.Join(dir, "cert.pem"), KeyPath: filepath.Join(dir, "key.pem"), TrustPath: filepath.Join(dir, "ca.pem"), VerifyPeer: true}
	writePEM(a.t, f.CertificatePath, "CERTIFICATE", certificate.Raw)
	writePEM(a.t, f.KeyPath, "PRIVATE KEY", der)
	writePEM(a.t, f.TrustPath, "CERTIFICATE", a.certificate.Raw)
	return f
}

func writePEM(t testing.TB, path, kind string, der []byte) {
	t.Helper()
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

func move(t testing.TB, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// meeting is what came of a handshake.
type meeting struct {
	server, client error  // what each of them says
	name           string // that the server has shown
}

// meet lets a client and a server shake hands.
func meet(t testing.TB, server, client *tls.Config) (m meeting) {
	t.Helper()
	near, far := connected(t)
	late := time.Now().Add(20 * time.Second)
	_, _ = near.SetDeadline(late), far.SetDeadline(late)
	done := make(chan error, 1)
	go func() {
		s := tls.Server(far, server)
		err := s.Handshake()
		if err == nil {
			_, err = s.Write([]byte("x")) // a TLS 1.3 client does not see its certificate refused before it reads
		}
		_ = far.Close()
		done <- err
	}()
	client = client.Clone()
	client.ServerName = "localhost"
	c := tls.Client(near, client)
	_, m.client = c.Read(make([]byte, 1))
	if shown := c.ConnectionState().PeerCertificates; len(shown) > 0 {
		m.name = shown[0].Subject.CommonName
	}
	_ = near.Close()
	m.server = <-done
	return m
}

// connected returns the two ends of a connection.
func connected(t testing.TB) (near, far net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if near, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if far, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	return near, far
}
