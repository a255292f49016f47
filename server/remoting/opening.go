package remoting

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// TLSMode says which connections a server takes: RocketMQ's tls.server.mode.
type TLSMode string

// Values of TLSMode.
const (
	TLSPermissive TLSMode = "permissive" // both kinds, on the same port
	TLSEnforcing  TLSMode = "enforcing"  // only TLS
	TLSDisabled   TLSMode = "disabled"   // only plain ones
)

var (
	errPlain     = errors.New("the connection is plain, this server takes only TLS")
	errTLS       = errors.New("the peer speaks TLS, this server does not")
	errHandshake = errors.New("TLS handshake failed")
)

// opening is how a server treats the first bytes of a connection.
type opening struct {
	mode          TLSMode
	config        *tls.Config // nil when mode is TLSDisabled
	handshakeTime time.Duration
	trusted       []netip.Prefix // whose PROXY headers are believed
	distrust      func(c *Conn)  // called when one is not
}

// open looks at the first bytes of a server's connection, which tell a PROXY
// header, TLS and frames apart: none of them begins like another. Plain frames
// pay for it with one look at their first byte.
func (c *Conn) open() error {
	o := c.options.opening
	if o == nil {
		return nil
	}
	if err := c.need(1); err != nil {
		return err
	}
	if mayBeProxyHeader(c.in.pending()[0]) {
		if err := c.readProxyHeader(o); err != nil {
			return err
		}
		if err := c.need(1); err != nil {
			return err
		}
	}
	switch first := c.in.pending()[0]; {
	case first == tlsRecordByte && o.mode == TLSDisabled:
		return fmt.Errorf("%w: %w", ErrProtocol, errTLS)
	case first == tlsRecordByte:
		return c.beginTLS(o)
	case o.mode == TLSEnforcing:
		return fmt.Errorf("%w: %w", ErrProtocol, errPlain)
	}
	return nil
}

// need reads until n bytes have arrived.
func (c *Conn) need(n int) error {
	c.arrived()
	for len(c.in.pending()) < n {
		if err := c.fill(); err != nil {
			return err
		}
	}
	return nil
}

// readProxyHeader takes a PROXY header off the input, and the address in it
// if it comes from a place that may say so.
func (c *Conn) readProxyHeader(o *opening) error {
	for {
		h, err := parseProxyHeader(c.in.pending())
		if err != nil {
			return err
		}
		if h.bytes == 0 {
			c.partial.Store(1)
			if err := c.fill(); err != nil {
				return err
			}
			continue
		}
		c.in.discard(h.bytes)
		if !h.source.IsValid() {
			return nil
		}
		from := c.remote.Addr()
		if slices.ContainsFunc(o.trusted, func(p netip.Prefix) bool { return p.Contains(from) }) {
			c.remote = h.source
		} else {
			o.distrust(c)
		}
		return nil
	}
}
