package node

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

// detoursVariable is the environment variable by which a fault run leads what
// a process dials (other nodes for replication and as a client, nameservers)
// over links that it can spoil: FROM=TO,FROM=TO of host:port. It counts only
// beside faultsVariable.
const detoursVariable = "APOGEE_FAULTS_DETOURS"

// peerDialTime bounds an attempt to connect to a peer over a detour.
const peerDialTime = 2 * time.Second

// withDetours adds to faults the detours that the environment names.
func withDetours(f *faults) (*faults, error) {
	f.detours = make(map[string]string)
	for pair := range strings.SplitSeq(os.Getenv(detoursVariable), ",") {
		if pair == "" {
			continue
		}
		from, to, _ := strings.Cut(pair, "=")
		for _, address := range []string{from, to} {
			if _, _, err := net.SplitHostPort(address); err != nil {
				return nil, fmt.Errorf("%s has %q: use FROM=TO of host:port: %w", detoursVariable, pair, err)
			}
		}
		f.detours[from] = to
	}
	return f, nil
}

// reach is where to dial for an address.
func (f *faults) reach(address string) string {
	if f == nil {
		return address
	}
	if to := f.detours[address]; to != "" {
		return to
	}
	return address
}

// dialPeer is how peers are dialed for replication; nil for as usual.
func (f *faults) dialPeer() func(context.Context, string) (net.Conn, error) {
	if f == nil {
		return nil
	}
	dialer := &net.Dialer{Timeout: peerDialTime}
	return func(ctx context.Context, address string) (net.Conn, error) {
		return dialer.DialContext(ctx, "tcp", f.reach(address))
	}
}
