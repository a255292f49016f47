package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apogeemq/apogee/server/remoting"
)

// writeCertificate writes a self-signed certificate and its key, key first.
func writeCertificate(t *testing.T, name, certificatePath, keyPath string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []struct {
		path  string
		block pem.Block
	}{{keyPath, pem.Block{Type: "PRIVATE KEY", Bytes: private}}, {certificatePath, pem.Block{Type: "CERTIFICATE", Bytes: der}}} {
		if err := os.WriteFile(file.path, pem.EncodeToMemory(&file.block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// shownBy is the name in the certificate that a listener shows, "" when it
// lets no TLS client in.
func shownBy(t *testing.T, address string) string {
	t.Helper()
	name := ""
	client, err := remoting.Dial(t.Context(), address, remoting.ClientOptions{TLS: &tls.Config{InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			name = s.PeerCertificates[0].Subject.CommonName
			return nil
		}}})
	if err != nil {
		return ""
	}
	defer client.Close()
	if _, err := client.Call(t.Context(), &remoting.Request{Code: remoting.RequestGetBrokerRuntimeInfo}); err != nil {
		t.Error(err)
	}
	return name
}

func TestANodeThatEnforcesTLSFollowsItsCertificate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certificatePath, keyPath := filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key")
	writeCertificate(t, "first", certificatePath, keyPath)
	properties := write(t, "tls.test.mode.enable=false\ntls.server.certPath="+certificatePath+"\ntls.server.keyPath="+keyPath+"\n")
	n, _ := up(t, small(t, t.TempDir(), "tls.config.file="+properties, "tls.server.mode=enforcing")) // registers inside
	defer down(t, n)
	broker := n.Addresses().Broker.String()
	if name := shownBy(t, broker); name != "first" {
		t.Fatalf("the broker shows %q", name)
	}
	if name := shownBy(t, n.Addresses().Nameserver.String()); name != "first" {
		t.Fatalf("the nameserver shows %q", name)
	}
	plain, err := remoting.Dial(t.Context(), broker, remoting.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if _, err := plain.Call(t.Context(), &remoting.Request{Code: remoting.RequestGetBrokerRuntimeInfo}); err == nil {
		t.Error("a plain client is answered")
	}
	eventually(t, "the plain client is counted", func() bool {
		_, metrics := get(t, n, "/metrics")
		return strings.Contains(metrics, `apogee_remoting_connections_closed_total{listener="broker",reason="tls_mode"} 1`)
	})
	writeCertificate(t, "second", certificatePath, keyPath)
	eventually(t, "the changed certificate is shown", func() bool { return shownBy(t, broker) == "second" })
}

// eventually looks again and again until condition holds.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	late := time.After(patience)
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for !condition() {
		select {
		case <-again.C:
		case <-late:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func TestWithoutAnyConfigurationBothKindsOfClientsAreServed(t *testing.T) {
	t.Parallel()
	n, _ := up(t, small(t, t.TempDir()))
	defer down(t, n)
	send(t, n, "T", "plain")
	if name := shownBy(t, n.Addresses().Broker.String()); name != "apogee self-signed" {
		t.Errorf("the broker shows %q", name)
	}
}

func TestTransportSettingsThatDoNotGoTogetherAreRefused(t *testing.T) {
	t.Parallel()
	for _, pairs := range [][]string{
		{"tls.server.mode=enforcing", "tls.test.mode.enable=false"}, {"tls.server.certPath=a.pem"}, {"tls.client.keyPath=a.key"},
		{"tls.server.mode=strict"}, {"tls.server.need.client.auth=maybe"}, {"tls.server.keyPassword=1234"},
		{"proxyProtocolTrusted=10.0.0.0/40"}, {"proxyProtocolTrusted=balancer"}, {"tls.config.file=" + filepath.Join(t.TempDir(), "none")},
	} {
		if _, err := Load("", pairs); err == nil || !strings.Contains(err.Error(), "configuration") {
			t.Errorf("%q: %v", pairs, err)
		}
	}
}

func TestTLSPropertiesCountBehindTheConfiguration(t *testing.T) {
	t.Parallel()
	properties := write(t, "tls.server.mode=enforcing\ntls.server.need.client.auth=require\nlistenPort=1\n")
	c, err := Load("", []string{"tls.config.file=" + properties, "tls.server.mode=permissive", "proxyProtocolTrusted=10.1.2.3/8;::1; 192.0.2.1"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Transport.Mode != remoting.TLSPermissive || c.Transport.ClientAuth != "require" || c.BrokerPort != 10911 {
		t.Errorf("%+v, port %d", c.Transport, c.BrokerPort)
	}
	if got, want := fmt.Sprint(c.Unknown(), c.Transport.ProxyTrusted), "[listenPort] [10.0.0.0/8 ::1/128 192.0.2.1/32]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
