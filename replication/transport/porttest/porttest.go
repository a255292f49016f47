package porttest

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// The ports that are given out: above RocketMQ's own, below those that Linux and
// macOS give to outgoing connections.
const (
	first = 20000
	last  = 31999
)

// Claim returns the first of so many ports in a row that nobody listens on. They
// are the test's until it has cleaned up.
func Claim(t testing.TB, count int) int {
	t.Helper()
	port, release, err := Take(count)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	return port
}

// Address is one port on loopback, claimed for a test.
func Address(t testing.TB) string {
	t.Helper()
	return loopback(Claim(t, 1))
}

// Take is Claim for what isn't a test, which calls release.
func Take(count int) (port int, release func(), err error) {
	const tries = 1000
	for range tries {
		port = first + rand.IntN(last-first-count+2)
		if release, err = take(port, count); err == nil {
			return port, release, nil
		}
	}
	return 0, nil, fmt.Errorf("find %d free ports from %d to %d, in %d tries: %w", count, first, last, tries, err)
}

// take claims ports in a row, all or none.
func take(port, count int) (release func(), err error) {
	var claims []net.PacketConn
	release = func() {
		for _, c := range claims {
			_ = c.Close()
		}
	}
	for p := port; p < port+count && err == nil; p++ {
		var c net.PacketConn
		if c, err = net.ListenPacket("udp4", loopback(p)); err == nil {
			claims = append(claims, c)
			err = vacant(p)
		}
	}
	if err != nil {
		release()
		return nil, err
	}
	return release, nil
}

// vacant reports an error when somebody listens on a port, who needn't know of
// claims.
func vacant(port int) error {
	l, err := net.Listen("tcp4", loopback(port))
	if err != nil {
		return err
	}
	return l.Close()
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }
