package remoting

import (
	"errors"
	"io"
	"sync/atomic"
	"syscall"
)

// EndReason says why a connection has ended.
type EndReason uint8

// The reasons, each with the name that metrics show.
const (
	EndPeer      EndReason = iota // the peer closed it, or the network did
	EndOurs                       // Close, by a handler or at a shutdown
	EndIdle                       // no traffic within IdleTimeout
	EndSlow                       // a frame took longer than FrameTimeout to arrive
	EndUnread                     // the peer took nothing of what waits to be sent within IdleTimeout
	EndOverload                   // over a limit on waiting bytes
	EndMalformed                  // bytes that are not a frame
	EndMode                       // plain where only TLS is taken, or the other way round
	EndHandshake                  // the TLS handshake failed
	EndError                      // any other error
	endReasons
)

var endReasonNames = [endReasons]string{"peer", "closed", "idle", "slow", "unread", "overload", "malformed", "tls_mode", "tls_handshake", "error"}

// String is the reason as metrics show it.
func (r EndReason) String() string { return endReasonNames[r] }

// EndReasons are all reasons.
func EndReasons() []EndReason {
	all := make([]EndReason, endReasons)
	for i := range all {
		all[i] = EndReason(i)
	}
	return all
}

// endReason sorts the cause of a connection's end.
func endReason(cause error) EndReason {
	for _, c := range []struct {
		is     error
		reason EndReason
	}{
		{errIdle, EndIdle}, {errSlow, EndSlow}, {errUnread, EndUnread}, {errPlain, EndMode}, {errTLS, EndMode}, {errHandshake, EndHandshake},
		{ErrOverload, EndOverload}, {ErrProtocol, EndMalformed}, {ErrClosed, EndOurs},
		{io.EOF, EndPeer}, {syscall.ECONNRESET, EndPeer}, {syscall.EPIPE, EndPeer}, {syscall.ETIMEDOUT, EndPeer},
	} {
		if errors.Is(cause, c.is) {
			return c.reason
		}
	}
	return EndError
}

// Stats counts what has happened to a server's connections.
type Stats struct {
	Connections int                // open now
	Secure      int                // of them, those that speak TLS
	Accepted    uint64             // ever
	Refused     uint64             // over ConnectionsMax
	Ended       [endReasons]uint64 // by EndReason
	Distrusted  uint64             // PROXY headers from places that are not trusted
	BytesIn     uint64             // read from sockets
	BytesOut    uint64             // written to sockets
}

// counters are the part of Stats that is not in open connections.
type counters struct {
	accepted, refused, distrusted atomic.Uint64

	// Of connections that have ended, guarded by Server.mu.
	reasons           [endReasons]uint64
	bytesIn, bytesOut uint64
}

// ended takes over what a connection has counted. The caller holds Server.mu.
func (t *counters) ended(c *Conn) {
	t.reasons[endReason(c.cause)]++
	t.bytesIn += c.bytesIn.Load()
	t.bytesOut += c.bytesOut.Load()
}

// Stats is a snapshot of the counters.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &s.counters
	stats := Stats{
		Connections: len(s.conns), Accepted: t.accepted.Load(), Refused: t.refused.Load(), Distrusted: t.distrusted.Load(),
		Ended: t.reasons, BytesIn: t.bytesIn, BytesOut: t.bytesOut,
	}
	for c := range s.conns {
		stats.BytesIn += c.bytesIn.Load()
		stats.BytesOut += c.bytesOut.Load()
		if c.isSecure.Load() {
			stats.Secure++
		}
	}
	return stats
}
