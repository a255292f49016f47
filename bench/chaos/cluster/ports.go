package cluster

import (
	"errors"
	"fmt"
	"net"

	"github.com/apogeemq/apogee/replication/transport/porttest"
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

// portsEach is how many ports in a row a node may take.
const portsEach = 24

// freePorts finds ports that nobody listens on, from first on, or anywhere when
// first is 0: these are this process's until it ends.
func freePorts(first, node int, host string) (ports, error) {
	if first != 0 {
		p := ports(first + portsEach*node)
		return p, p.free(host)
	}
	const tries = 1000
	var err error
	for range tries {
		found, release, failed := porttest.Take(portsEach)
		if failed != nil {
			return 0, failed
		}
		if err = ports(found).free(host); err == nil {
			return ports(found), nil
		}
		release()
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
