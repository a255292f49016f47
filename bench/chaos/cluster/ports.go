package cluster

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// ports are the ports of a node, by the first.
type ports int

func (p ports) nameserver() int  { return int(p) + 1 }
func (p ports) admin() int       { return int(p) + 3 }
func (p ports) replication() int { return int(p) + 4 }

// broker is where the broker with a number listens; the port 2 below is open as
// well.
func (p ports) broker(number int) int { return int(p) + 2 + brokerPortsApart*number }

// brokerPortsApart is the distance between the brokers of a process.
const brokerPortsApart = 10

// Ports that a node may take: above RocketMQ's own, below those that systems
// give to outgoing connections.
const (
	portFirst = 20000
	portLast  = 31999
	portsEach = 24
)

// freePorts finds ports that nobody listens on, from first on, or anywhere when
// first is 0.
func freePorts(first, node int, host string) (ports, error) {
	if first != 0 {
		p := ports(first + portsEach*node)
		return p, p.free(host)
	}
	const tries = 1000
	var err error
	for range tries {
		p := ports(portFirst + portsEach*rand.IntN((portLast-portFirst)/portsEach))
		if err = p.free(host); err == nil {
			return p, nil
		}
	}
	return 0, fmt.Errorf("found no free ports: %w", err)
}

func (p ports) free(host string) error {
	var found error
	for i := range portsEach {
		for _, h := range []string{"127.0.0.1", host} {
			l, err := net.Listen("tcp", fmt.Sprintf("%s:%d", h, int(p)+i))
			if err != nil {
				found = errors.Join(found, err)
				continue
			}
			_ = l.Close()
		}
	}
	return found
}
