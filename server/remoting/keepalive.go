package remoting

import (
	"net"
	"time"
)

// The kernel asks a silent peer whether it is there and closes the connection
// to one that is not. RocketMQ leaves that to its idle time; but what waits for
// an answer, such as a client's call, should not wait for so long.
const (
	keepAliveIdle     = 30 * time.Second
	keepAliveInterval = 10 * time.Second
	keepAliveCount    = 3

	// unacknowledgedTime is how long the kernel goes on sending to a peer that
	// acknowledges nothing, or has no room. It is RocketMQ's idle time: a Java
	// client may well collect garbage for some seconds.
	unacknowledgedTime = 120 * time.Second
)

func keepAlive(tcp *net.TCPConn) {
	_ = tcp.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: keepAliveIdle, Interval: keepAliveInterval, Count: keepAliveCount})
}
