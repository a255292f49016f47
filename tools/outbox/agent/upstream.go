package agent

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apogeemq/apogee/server/remoting"
)

const (
	dialTime      = time.Second
	askTime       = time.Second
	redialMin     = 50 * time.Millisecond
	redialMax     = 2 * time.Second
	sweepTime     = time.Second // patience is measured in quarters of it
	callsMax      = 1 << 16
	upstreamBytes = 64 << 20
)

// upstream is a broker or nameserver of the cluster, and one connection to it
// that all clients' sends share. A goroutine makes it anew whenever it breaks,
// so that no request ever waits for that, but the very first.
type upstream struct {
	address string
	dial    func(ctx context.Context, address string, o remoting.ClientOptions) (*remoting.Client, error)
	options remoting.ClientOptions
	reached func() // after a connection was made

	client  atomic.Pointer[remoting.Client]
	gathers atomic.Bool   // it takes batches of messages that were sent one by one
	tried   chan struct{} // closed after the first attempt
	stop    chan struct{}
	ended   chan struct{}
	once    sync.Once
}

// begin starts to connect.
func (u *upstream) begin() *upstream {
	u.tried, u.stop, u.ended = make(chan struct{}), make(chan struct{}), make(chan struct{})
	u.options.CallTimeout, u.options.CallsMax, u.options.OutputHardBytes = sweepTime, callsMax, upstreamBytes
	go u.run()
	return u
}

func (u *upstream) run() {
	defer close(u.ended)
	pause := redialMin
	for {
		ctx, cancel := context.WithTimeout(context.Background(), dialTime)
		c, err := u.dial(ctx, u.address, u.options)
		cancel()
		if err == nil {
			u.client.Store(c)
		}
		u.once.Do(func() { close(u.tried) })
		if err == nil {
			u.gathers.Store(false)
			u.reached()
			u.ask(c)
			select {
			case <-c.Done():
				pause = redialMin
			case <-u.stop:
				c.Close()
				return
			}
		}
		timer := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-u.stop:
			timer.Stop()
			return
		case <-timer.C:
		}
		pause = min(2*pause, redialMax)
	}
}

// ask finds out what the broker understands, for as long as the connection
// lasts: a broker that has just started may be too busy to say it at once, and
// the backlog waits for it. Until it says so it is taken for one of Apache
// RocketMQ's.
func (u *upstream) ask(c *remoting.Client) {
	ticker := time.NewTicker(askTime)
	defer ticker.Stop()
	for !u.learn(c) {
		select {
		case <-ticker.C:
		case <-c.Done():
			return
		case <-u.stop:
			return
		}
	}
}

// learn reports whether the broker has answered.
func (u *upstream) learn(c *remoting.Client) bool {
	ctx, cancel := context.WithTimeout(context.Background(), askTime)
	defer cancel()
	got, err := c.Call(ctx, &remoting.Request{Code: remoting.RequestGetBrokerRuntimeInfo})
	if err != nil || judge(got.Code, got.Remark) == notAccepted {
		return false
	}
	var body struct {
		Table struct {
			Gathers string `json:"apogeeGathers"`
		} `json:"table"`
	}
	if got.Code == remoting.ResponseSuccess && json.Unmarshal(got.Body, &body) == nil {
		u.gathers.Store(body.Table.Gathers == "true")
	}
	return true
}

// connection is one that works, nil where there is none. It waits for the first
// attempt to connect, and never again.
func (u *upstream) connection() *remoting.Conn {
	select {
	case <-u.tried:
	default:
		select {
		case <-u.tried:
		case <-u.stop:
		}
	}
	if c := u.client.Load(); c != nil && c.Conn().Alive() {
		return c.Conn()
	}
	return nil
}

// close ends the connection: what is in flight fails.
func (u *upstream) close() {
	close(u.stop)
	<-u.ended
	if c := u.client.Load(); c != nil {
		c.Close()
	}
}
