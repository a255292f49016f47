package agent

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/apogeemq/apogee/replication/transport/porttest"
	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
	"github.com/apogeemq/apogee/tools/client"
)

// cluster is a nameserver and a broker that a test makes say what it wants.
type cluster struct {
	t      *testing.T
	names  string // address of the nameserver
	broker string

	mu      sync.Mutex
	servers []*remoting.Server
	got     []sent
	answer  func(s sent) remoting.Reply
	silent  bool // sends get no answer
	gathers bool // batches of messages that were sent one by one are understood
	shy     int  // so many questions for it are not answered
	batches int  // that have come
	queues  int
	second  *cluster // its broker is in routes too, as broker-b
}

// sent is a send as the broker got it.
type sent struct {
	code       int32
	queue      string
	properties string
	body       string
	born       string
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{t: t, names: porttest.Address(t), broker: porttest.Address(t), queues: 4}
	c.up()
	t.Cleanup(c.down)
	return c
}

// up starts both where they were.
func (c *cluster) up() {
	c.t.Helper()
	for _, s := range []struct {
		address string
		handler remoting.Handler
	}{{c.names, handler(c.name)}, {c.broker, handler(c.serve)}} {
		l, err := net.Listen("tcp", s.address)
		if err != nil {
			c.t.Fatal(err)
		}
		c.mu.Lock()
		c.servers = append(c.servers, remoting.Serve(l, s.handler, remoting.Options{Logger: quiet()}))
		c.mu.Unlock()
	}
}

// down ends both at once.
func (c *cluster) down() {
	c.mu.Lock()
	servers := c.servers
	c.servers = nil
	c.mu.Unlock()
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for _, s := range servers {
		_ = s.Shutdown(ended)
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

type handler func(rt remoting.ReplyTo, cmd *remoting.Command)

func (h handler) Handle(rt remoting.ReplyTo, cmd *remoting.Command) { h(rt, cmd) }
func (handler) Closed(*remoting.Conn)                               {}

func (c *cluster) name(rt remoting.ReplyTo, cmd *remoting.Command) {
	if topic := cmd.Text("topic"); topic != "T" {
		rt.Send(&remoting.Reply{Code: remoting.ResponseTopicNotExist, Remark: "no topic " + topic})
		return
	}
	c.mu.Lock()
	second := c.second
	c.mu.Unlock()
	brokers, queues := c.routePart("broker-a")
	if second != nil {
		more, moreQueues := second.routePart("broker-b")
		brokers, queues = brokers+","+more, queues+","+moreQueues
	}
	rt.Send(&remoting.Reply{Body: fmt.Appendf(nil, `{"brokerDatas":[%s],"queueDatas":[%s]}`, brokers, queues)})
}

// routePart is what a route says of the broker.
func (c *cluster) routePart(name string) (broker, queues string) {
	return fmt.Sprintf(`{"brokerAddrs":{0:%q},"brokerName":%q,"cluster":"C"}`, c.broker, name),
		fmt.Sprintf(`{"brokerName":%q,"perm":6,"readQueueNums":%d,"topicSysFlag":0,"writeQueueNums":%d}`, name, c.queues, c.queues)
}

// takeSecond has routes name another broker, or none but its own.
func (c *cluster) takeSecond(second *cluster) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.second = second
}

func (c *cluster) serve(rt remoting.ReplyTo, cmd *remoting.Command) {
	if cmd.Code == remoting.RequestGetBrokerRuntimeInfo && c.gathers {
		if c.isShy() {
			rt.Send(&remoting.Reply{Code: remoting.ResponseSystemBusy, Remark: "not yet"})
			return
		}
		rt.Send(&remoting.Reply{Body: []byte(`{"table":{"apogeeGathers":"true"}}`)})
		return
	}
	if !isSend(cmd.Code) {
		reply := remoting.Reply{Remark: "the broker's answer"}
		reply.SetInt("code", int64(cmd.Code))
		rt.Send(&reply)
		return
	}
	var r request
	if err := r.read(cmd); err != nil {
		c.t.Error(err)
	}
	all := []sent{{cmd.Code, strconv.Itoa(int(r.queue)), string(r.properties), string(cmd.Body), strconv.FormatInt(r.born, 10)}}
	if cmd.Bool(record.FieldGathered) {
		all = c.messagesOf(all[0])
	}
	c.mu.Lock()
	answer, silent := c.answer, c.silent
	reply := remoting.Reply{}
	reply.SetText("msgId", "upstream")
	for _, s := range all {
		if answer != nil && reply.Code == 0 {
			reply = answer(s)
		}
	}
	if len(all) > 1 {
		c.batches++
	}
	if reply.Code == 0 {
		c.got = append(c.got, all...)
	}
	c.mu.Unlock()
	if !silent {
		rt.Send(&reply)
	}
}

func (c *cluster) isShy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shy--
	return c.shy >= 0
}

// messagesOf are those of a gathered batch.
func (c *cluster) messagesOf(batch sent) (all []sent) {
	for rest := []byte(batch.body); len(rest) > 0; {
		item, after, err := record.SplitBatch(rest)
		if err != nil {
			c.t.Error(err)
			return nil
		}
		rest = after
		all = append(all, sent{batch.code, batch.queue, string(item.Properties), string(item.Body), strconv.FormatInt(item.Born, 10)})
	}
	return all
}

// say has the broker answer sends with a code.
func (c *cluster) say(code int32, remark string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = func(sent) remoting.Reply { return remoting.Reply{Code: code, Remark: remark} }
	if code == 0 {
		c.answer = nil
	}
}

func (c *cluster) beSilent(yes bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.silent = yes
}

// bodies are those of the messages that the broker has.
func (c *cluster) bodies() (all []string) {
	for _, s := range c.messages() {
		all = append(all, s.body)
	}
	return all
}

func (c *cluster) messages() []sent {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]sent(nil), c.got...)
}

func testConfig(t *testing.T, c *cluster) Config {
	t.Helper()
	config, err := Load("", []string{"namesrvAddr=" + c.names, "listenPort=0", "adminListenPort=0", "storePathRootDir=" + t.TempDir(), "forwardTimeoutMs=300"})
	if err != nil {
		t.Fatal(err)
	}
	return config
}

func startAgent(t *testing.T, config Config) *Agent {
	t.Helper()
	a, err := Start(config, Options{Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// awaitAway waits until the agent has seen that its broker is gone: what is sent
// before is in doubt.
func awaitAway(t *testing.T, a *Agent) {
	t.Helper()
	for _, d := range a.allDoors() {
		awaitDoorAway(t, d)
	}
}

func awaitDoorAway(t *testing.T, d *door) {
	t.Helper()
	eventually(t, "the broker to be away", func() bool { return d.upstream.connection() == nil })
}

func stopAgent(t *testing.T, a *Agent) {
	t.Helper()
	if err := a.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

// application is a client of the agent.
type application struct {
	t      *testing.T
	agent  *Agent
	broker *remoting.Client // to the door of its topic's broker
}

// newApplication finds the broker as clients do.
func newApplication(t *testing.T, a *Agent) *application {
	t.Helper()
	return newApplicationOf(t, a, "broker-a")
}

// newApplicationOf is newApplication for one of several brokers.
func newApplicationOf(t *testing.T, a *Agent, broker string) *application {
	t.Helper()
	r := routeOf(t, a, "T")
	b := r.Broker(broker)
	if b == nil {
		b = &r.Brokers[0] // the agent's own
	}
	return &application{t: t, agent: a, broker: dialAddress(t, b.Master())}
}

func routeOf(t *testing.T, a *Agent, topic string) client.Route {
	t.Helper()
	names := dialAddress(t, a.names.Addr().String())
	got, err := names.Call(t.Context(), client.NewRequest(remoting.RequestGetRouteInfoByTopic, "topic", topic))
	if err != nil || got.Code != 0 {
		t.Fatalf("route: %v, %+v", err, got)
	}
	var r client.Route
	if err := client.Decode(got.Body, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func dialAddress(t *testing.T, address string) *remoting.Client {
	t.Helper()
	c, err := remoting.Dial(t.Context(), address, remoting.ClientOptions{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

const testBorn = 1700000000000

// message is a send of one message, in the long style.
func message(queue int, body string, properties ...string) *remoting.Request {
	text := "UNIQ_KEY\x01id-" + body + "\x02"
	for i := 0; i < len(properties); i += 2 {
		text += properties[i] + "\x01" + properties[i+1] + "\x02"
	}
	r := client.NewRequest(remoting.RequestSendMessage, "producerGroup", "G", "topic", "T", "defaultTopic", "TBW102", "defaultTopicQueueNums", "4",
		"queueId", strconv.Itoa(queue), "sysFlag", "0", "bornTimestamp", strconv.Itoa(testBorn), "flag", "0", "properties", text)
	r.Body = []byte(body)
	return r
}

func (p *application) send(r *remoting.Request) *remoting.Command {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 10*time.Second)
	defer cancel()
	got, err := p.broker.Call(ctx, r)
	if err != nil {
		p.t.Fatalf("send: %v", err)
	}
	return got
}

// spooled sends a message that must be kept.
func (p *application) spooled(r *remoting.Request) *remoting.Command {
	p.t.Helper()
	got := p.send(r)
	if got.Code != 0 || got.Text(remarkSpooled) != "true" || got.Text("queueOffset") != "-1" {
		p.t.Fatalf("it isn't kept: %d %s %v", got.Code, got.Remark, got.Text("msgId"))
	}
	return got
}

// eventually polls for what happens by itself.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("not within 20 s: %s", what)
		case <-tick.C:
		}
	}
}
