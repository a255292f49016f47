package transport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine/event"
)

const patience = 30 * time.Second

// end is one node of a test.
type end struct {
	network   *Network
	transport *Transport
}

func (e *end) address() raft.ServerAddress { return raft.ServerAddress(e.network.Address()) }

func network(t *testing.T, adjust func(*Options)) *Network {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Listener: l, Secret: []byte("shared"), EntryBytesMax: 4 << 20}
	if adjust != nil {
		adjust(&o)
	}
	n := NewNetwork(o)
	t.Cleanup(func() { _ = n.Close() })
	return n
}

func configOf(n *Network, name string) Config {
	return Config{
		Self:       Hello{Group: "g", Log: event.LogID{1}, Node: [16]byte{name[1]}, Name: name, Address: n.Address()},
		RPCTimeout: patience, EntriesTimeout: patience,
	}
}

// pair is two nodes of a group.
func pair(t *testing.T, adjust func(*Config)) (a, b *end) {
	t.Helper()
	var ends []*end
	for _, name := range []string{"n0", "n1"} {
		n := network(t, nil)
		c := configOf(n, name)
		if adjust != nil {
			adjust(&c)
		}
		ends = append(ends, &end{n, n.Join(c)})
	}
	t.Cleanup(func() {
		for _, e := range ends {
			_ = e.transport.Close()
		}
	})
	return ends[0], ends[1]
}

// answer has a node answer requests until the test ends.
func (e *end) answer(t *testing.T, handle func(raft.RPC)) {
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	go func() {
		for {
			select {
			case rpc := <-e.transport.Consumer():
				handle(rpc)
			case <-done:
				return
			}
		}
	}()
}

func header(e *end) raft.RPCHeader {
	return raft.RPCHeader{ProtocolVersion: 3, ID: []byte("id"), Addr: []byte(e.address())}
}

// certificates makes a certificate that is its own authority.
func certificates(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(certificate)
	return &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, RootCAs: pool, ClientCAs: pool,
		ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13,
	}
}
