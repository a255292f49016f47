package node

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/apogeemq/apogee/replication/transport/porttest"
)

func TestClientsAreToldAnAddressTheyCanReach(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ bind, broker, want string }{
		{"127.0.0.1", "", "127.0.0.1:10911"},
		{"10.0.0.5", "", "10.0.0.5:10911"},
		{"0.0.0.0", "192.0.2.7", "192.0.2.7:10911"},
		{"127.0.0.1", "2001:db8::1", "[2001:db8::1]:10911"},
	} {
		config := Config{BindAddress: netip.MustParseAddr(c.bind)}
		if c.broker != "" {
			config.BrokerIP = netip.MustParseAddr(c.broker)
		}
		got, err := clientAddress(&config, 10911)
		if err != nil || got.String() != c.want {
			t.Errorf("bind %s, brokerIP1 %q: got %v, %v, want %s", c.bind, c.broker, got, err, c.want)
		}
	}
}

func TestTheFirstReachableAddressIsIPv4WhereThereIsOne(t *testing.T) {
	t.Parallel()
	network := func(s string) net.Addr {
		return &net.IPNet{IP: net.ParseIP(s), Mask: net.CIDRMask(8, 32)}
	}
	for want, list := range map[string][]net.Addr{
		"10.1.2.3":    {network("127.0.0.1"), network("fe80::1"), network("2001:db8::1"), network("10.1.2.3"), network("10.1.2.4")},
		"2001:db8::1": {network("::1"), network("169.254.1.1"), network("2001:db8::1")},
		"invalid IP":  {network("127.0.0.1"), &net.TCPAddr{}},
	} {
		if got := firstReachable(list); got.String() != want {
			t.Errorf("got %v, want %s", got, want)
		}
	}
}

func TestAnOwnListenerOnAllAddressesIsReachedOnLoopback(t *testing.T) {
	t.Parallel()
	for bound, want := range map[string]string{
		"0.0.0.0:9876": "127.0.0.1:9876", "[::]:9876": "[::1]:9876", "10.0.0.5:9876": "10.0.0.5:9876",
	} {
		if got := reachableHere(netip.MustParseAddrPort(bound)); got.String() != want {
			t.Errorf("%s: got %v, want %s", bound, got, want)
		}
	}
}

func TestAPortThatSettingsNameIsNotTakenForSlaves(t *testing.T) {
	t.Parallel()
	port := porttest.Claim(t, 4) + 3 // the broker takes one 2 below its own, too
	c, err := Load("", []string{fmt.Sprint("listenPort=", port-1), fmt.Sprint("adminListenPort=", port), "namesrvListenPort=0"})
	if err != nil {
		t.Fatal(err)
	}
	l, err := listen(&c)
	defer l.close()
	if err != nil || l.replication != nil {
		t.Errorf("%v; a port for slaves: %v", err, l.replication)
	}
}
