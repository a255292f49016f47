package agent

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/apogeemq/apogee/server/forward"
	"github.com/apogeemq/apogee/server/remoting"
)

// ownBroker is the name of the broker in routes that the agent makes up.
const ownBroker = "outbox"

// door is where clients find one broker of the cluster: a listener, and what is
// behind it. The agent's own has no broker behind it.
type door struct {
	agent    *Agent
	broker   string // its name, as far as it is known
	address  string // of the broker, "" for none
	upstream *upstream
	proxy    *forward.Forwarder
	server   *remoting.Server
}

// openDoor listens for a broker. port 0 takes any.
func (a *Agent) openDoor(broker, address string, port int) (*door, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(a.config.BindAddress.String(), strconv.Itoa(port)))
	if err != nil {
		return nil, fmt.Errorf("listen for broker %s: %w", address, err)
	}
	d := &door{agent: a, broker: broker, address: address}
	if address != "" {
		d.upstream = a.connect(address)
		d.proxy = forward.NewProxy(forward.Options{Local: away{d}, Dial: a.dial, Log: a.log}, address)
	}
	d.server = remoting.Serve(l, d, remoting.Options{Logger: a.log})
	a.log.Info("listening", "for", "broker", "name", broker, "upstream", address, "address", l.Addr())
	return d, nil
}

// here is the address that clients are told.
func (d *door) here() string { return d.server.Addr().String() }

func (d *door) port() int {
	p, err := netip.ParseAddrPort(d.here())
	if err != nil {
		return 0
	}
	return int(p.Port())
}

// Handle implements remoting.Handler.
func (d *door) Handle(rt remoting.ReplyTo, cmd *remoting.Command) {
	switch {
	case isSend(cmd.Code):
		d.agent.send(d, rt, cmd)
	case cmd.Code == remoting.RequestViewMessageByID && d.agent.view(rt, cmd),
		cmd.Code == remoting.RequestQueryMessage && d.agent.query(rt, cmd):
	case d.proxy != nil:
		d.proxy.Handle(rt, cmd)
	default:
		away{d}.Handle(rt, cmd)
	}
}

// Closed implements remoting.Handler.
func (d *door) Closed(c *remoting.Conn) {
	if d.proxy != nil {
		d.proxy.Closed(c)
	}
}

// away answers what only a broker can do while it isn't in reach.
type away struct{ door *door }

// Handle implements remoting.Handler.
func (w away) Handle(rt remoting.ReplyTo, cmd *remoting.Command) {
	switch cmd.Code {
	case remoting.RequestHeartBeat, remoting.RequestUnregisterClient:
		rt.Send(&remoting.Reply{}) // the client's next heartbeat tells the broker
	default:
		broker := w.door.address
		if broker == "" {
			broker = "of the topic"
		}
		rt.Send(&remoting.Reply{Code: remoting.ResponseServiceNotAvailable,
			Remark: fmt.Sprintf("the outbox can't reach the broker %s, and keeps nothing but sends; try again", broker)})
	}
}

// Closed implements remoting.Handler.
func (away) Closed(*remoting.Conn) {}
