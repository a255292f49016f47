package node

import (
	"fmt"
	"net"
	"net/netip"
)

// Addresses are where a node listens.
type Addresses struct {
	Broker     netip.AddrPort
	Fast       netip.AddrPort // invalid when there is none
	Nameserver netip.AddrPort // invalid when there is none
	Admin      netip.AddrPort
}

// listeners are the open sockets of what a process has once; those that it
// doesn't have are nil.
type listeners struct {
	nameserver, admin, replication net.Listener
}

// listen opens them.
func listen(c *Config) (l listeners, err error) {
	if c.runsNameserver() {
		key := "namesrvListenPort"
		if !c.runsBroker() {
			key = "listenPort"
		}
		if l.nameserver, err = open(key, c.BindAddress, c.NameserverPort); err != nil {
			return l, err
		}
	}
	if c.Replication.Enabled {
		if l.replication, err = net.Listen("tcp", c.listenAddress()); err != nil {
			peersKey, _ := c.Replication.clusterKeys()
			return l, fmt.Errorf("listen on this node's address of %s: %w; choose another port or stop what uses it", peersKey, err)
		}
	}
	if l.admin, err = open("adminListenPort", c.AdminBindAddress, c.AdminPort); err != nil {
		return l, err
	}
	return l, l.listenForSlaves(c) // last: it may take a port that is left over
}

func open(key string, address netip.Addr, port int) (net.Listener, error) {
	listener, err := net.Listen("tcp", netip.AddrPortFrom(address, uint16(port)).String())
	if err != nil {
		return nil, fmt.Errorf("listen on %s of %s: %w; choose another port or stop what uses it", key, address, err)
	}
	return listener, nil
}

func (l *listeners) close() {
	for _, listener := range []net.Listener{l.nameserver, l.admin, l.replication} {
		if listener != nil {
			_ = listener.Close()
		}
	}
}

func (l *listeners) addresses() Addresses {
	return Addresses{Nameserver: addressOf(l.nameserver), Admin: addressOf(l.admin)}
}

func addressOf(l net.Listener) netip.AddrPort {
	if l == nil {
		return netip.AddrPort{}
	}
	a := l.Addr().(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// clientAddress is the address that clients are told: the configured one, else
// the one to listen on, else the first of this machine.
func clientAddress(c *Config, port uint16) (netip.AddrPort, error) {
	ip := c.BrokerIP
	if !ip.IsValid() {
		ip = c.BindAddress
	}
	if ip.IsUnspecified() {
		addresses, err := net.InterfaceAddrs()
		if err != nil {
			return netip.AddrPort{}, fmt.Errorf("find the address of this machine: %w; set brokerIP1", err)
		}
		if ip = firstReachable(addresses); !ip.IsValid() {
			return netip.AddrPort{}, fmt.Errorf("find the address of this machine: none of %v can be reached by clients; set brokerIP1", addresses)
		}
	}
	return netip.AddrPortFrom(ip, port), nil
}

// firstReachable prefers IPv4, which all clients speak.
func firstReachable(addresses []net.Addr) netip.Addr {
	var second netip.Addr
	for _, a := range addresses {
		network, ok := a.(*net.IPNet)
		if !ok {
			continue
		}
		ip, ok := netip.AddrFromSlice(network.IP)
		if ip = ip.Unmap(); !ok || !ip.IsGlobalUnicast() {
			continue
		}
		if ip.Is4() {
			return ip
		}
		if !second.IsValid() {
			second = ip
		}
	}
	return second
}

// reachableHere is an address under which this process reaches its own
// listener.
func reachableHere(a netip.AddrPort) netip.AddrPort {
	switch {
	case !a.Addr().IsUnspecified():
		return a
	case a.Addr().Is4():
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), a.Port())
	}
	return netip.AddrPortFrom(netip.IPv6Loopback(), a.Port())
}
