package agent

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apogeemq/apogee/server/remoting"
	"github.com/apogeemq/apogee/tools/client"
)

const (
	permissionWrite = 2
	masterID        = "0"
	topicsMax       = 65536 // whose routes are remembered
	versionStandard = 401   // from it on clients get standard JSON: V4_9_4
)

// knownRoute is a route as a nameserver told it.
type knownRoute struct {
	body   []byte
	route  client.Route
	queues []target
	asked  atomic.Int64 // when a nameserver said so or was asked last, Unix nanoseconds
	told   atomic.Int64 // when one said so last
}

// confirm notes that a nameserver says so.
func (k *knownRoute) confirm() {
	now := time.Now().UnixNano()
	k.asked.Store(now)
	k.told.Store(now)
}

// isConfirmed reports whether a nameserver has said so lately.
func (k *knownRoute) isConfirmed() bool {
	return k != nil && time.Now().UnixNano()-k.told.Load() < int64(routeConfirmed)
}

// stale reports whether it is time to ask again, once for each time.
func (k *knownRoute) stale() bool {
	now, asked := time.Now().UnixNano(), k.asked.Load()
	return now-asked > int64(routeAge) && k.asked.CompareAndSwap(asked, now)
}

// target is where messages of a topic can be sent.
type target struct {
	broker   string
	upstream *upstream
	queues   int32
}

// routes remembers where topics are, for times in which nobody tells.
type routes struct {
	agent *Agent

	mu     sync.RWMutex
	topics map[string]*knownRoute
	asking map[string]time.Time // topics that nobody knew, and when they were asked for
}

// learn takes in what a nameserver says. Each broker gets its door.
func (r *routes) learn(topic string, body []byte) (*knownRoute, error) {
	r.mu.RLock()
	known := r.topics[topic]
	full := len(r.topics) >= topicsMax
	r.mu.RUnlock()
	if known != nil && bytes.Equal(known.body, body) {
		known.confirm()
		return known, nil
	}
	k := &knownRoute{body: bytes.Clone(body)}
	k.confirm()
	if err := client.Decode(body, &k.route); err != nil {
		return nil, fmt.Errorf("route of topic %q: %w", topic, err)
	}
	for _, b := range k.route.Brokers {
		for _, address := range b.Addresses {
			if _, err := r.agent.doorOf(b.Name, address); err != nil {
				return nil, err
			}
		}
	}
	for _, q := range k.route.Queues {
		b := k.route.Broker(q.Broker)
		if b == nil || b.Master() == "" || q.Permission&permissionWrite == 0 || q.WriteQueues <= 0 {
			continue
		}
		d, err := r.agent.doorOf(b.Name, b.Master())
		if err != nil {
			return nil, err
		}
		k.queues = append(k.queues, target{b.Name, d.upstream, int32(q.WriteQueues)})
	}
	if known == nil && full {
		return k, nil
	}
	r.mu.Lock()
	r.topics[topic] = k
	r.mu.Unlock()
	r.agent.memory.changed()
	return k, nil
}

// forget drops a topic that its nameservers don't know any more.
func (r *routes) forget(topic string) {
	r.mu.Lock()
	_, known := r.topics[topic]
	delete(r.topics, topic)
	r.mu.Unlock()
	if known {
		r.agent.memory.changed()
	}
}

func (r *routes) get(topic []byte) *knownRoute {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.topics[string(topic)]
}

// writable lists where messages of a topic can be sent.
func (r *routes) writable(topic []byte) []target {
	if k := r.get(topic); k != nil {
		return k.queues
	}
	return nil
}

// inReach reports whether a broker of the route is.
func (k *knownRoute) inReach() bool {
	for _, q := range k.queues {
		if q.upstream.connection() != nil {
			return true
		}
	}
	return false
}

// rewrite puts the agent's addresses into an answer in the place of the
// brokers'. It leaves the rest as the nameserver wrote it, for clients differ in
// the dialect of JSON that they take.
func (a *Agent) rewrite(body []byte, brokers []client.Broker) ([]byte, error) {
	for _, b := range brokers {
		for _, address := range b.Addresses {
			d, err := a.doorOf(b.Name, address)
			if err != nil {
				return nil, err
			}
			body = bytes.ReplaceAll(body, []byte(`"`+address+`"`), []byte(`"`+d.here()+`"`))
		}
	}
	return body, nil
}

// nameserver is the handler of the port that clients take for a nameserver.
type nameserver struct{ agent *Agent }

// Closed implements remoting.Handler.
func (nameserver) Closed(*remoting.Conn) {}

// Handle implements remoting.Handler.
func (n nameserver) Handle(rt remoting.ReplyTo, cmd *remoting.Command) {
	q := &question{agent: n.agent, replyTo: rt, command: cmd.Clone()}
	q.next()
}

// ask has the nameservers tell where a topic is, at most once in routeAge.
func (r *routes) ask(topic string) {
	r.mu.Lock()
	now := time.Now()
	if now.Sub(r.asking[topic]) < routeAge {
		r.mu.Unlock()
		return
	}
	if len(r.asking) >= topicsMax {
		clear(r.asking)
	}
	r.asking[topic] = now
	r.mu.Unlock()
	cmd := &remoting.Command{Code: remoting.RequestGetRouteInfoByTopic, Version: remoting.Version,
		Fields: []remoting.Field{{Key: []byte("topic"), Value: []byte(topic)}, {Key: []byte("acceptStandardJsonOnly"), Value: []byte("true")}}}
	for _, u := range r.agent.nameservers {
		c := u.connection()
		if c == nil {
			continue
		}
		err := c.Forward(cmd, nameserverTime, func(response *remoting.Command, err error) {
			if err != nil || response.Code != remoting.ResponseSuccess {
				return
			}
			before := r.get([]byte(topic))
			k, err := r.learn(topic, response.Body)
			if err == nil && k != before {
				r.agent.drain.look()
			}
		})
		if err == nil {
			return
		}
	}
}

// question is a request to the nameservers.
type question struct {
	agent   *Agent
	replyTo remoting.ReplyTo
	command *remoting.Command
	asked   int // nameservers
}

// next asks the next nameserver, and answers from memory after the last.
func (q *question) next() {
	for q.asked < len(q.agent.nameservers) {
		u := q.agent.nameservers[q.asked]
		q.asked++
		c := u.connection()
		if c == nil {
			continue
		}
		if err := c.Forward(q.command, nameserverTime, q.land); err == nil {
			return
		}
	}
	q.remember()
}

func (q *question) land(response *remoting.Command, err error) {
	if err != nil {
		q.next()
		return
	}
	switch {
	case q.command.Code == remoting.RequestGetRouteInfoByTopic && response.Code == remoting.ResponseSuccess:
		q.pass(response, q.route)
	case q.command.Code == remoting.RequestGetRouteInfoByTopic && response.Code == remoting.ResponseTopicNotExist:
		topic := q.command.Text("topic")
		// Nameservers forget brokers that are away, and their topics with them.
		if k := q.agent.routes.get([]byte(topic)); k != nil && !k.inReach() {
			q.remember()
			return
		}
		q.agent.routes.forget(topic)
		q.replyTo.Pass(response)
	case q.command.Code == remoting.RequestGetBrokerClusterInfo && response.Code == remoting.ResponseSuccess:
		q.pass(response, q.cluster)
	default:
		q.replyTo.Pass(response)
	}
}

// pass answers with a nameserver's response whose body is changed.
func (q *question) pass(response *remoting.Command, change func(body []byte) ([]byte, error)) {
	body, err := change(response.Body)
	if err != nil {
		q.agent.log.Warn("an answer of a nameserver can't be used", "request", q.command.Code, "cause", err)
		q.replyTo.Send(&remoting.Reply{Code: remoting.ResponseSystemError, Remark: "the outbox can't use the nameserver's answer: " + err.Error()})
		return
	}
	changed := *response
	changed.Body = body
	q.replyTo.Pass(&changed)
}

func (q *question) route(body []byte) ([]byte, error) {
	k, err := q.agent.routes.learn(q.command.Text("topic"), body)
	if err != nil {
		return nil, err
	}
	return q.agent.rewrite(k.body, k.route.Brokers)
}

func (q *question) cluster(body []byte) ([]byte, error) {
	var info struct {
		Brokers map[string]client.Broker `json:"brokerAddrTable"`
	}
	if err := client.Decode(body, &info); err != nil {
		return nil, err
	}
	var all []client.Broker
	for _, b := range info.Brokers {
		all = append(all, b)
	}
	return q.agent.rewrite(body, all)
}

// remember answers without a nameserver: with the route as it was last, or with
// the agent as the only broker.
func (q *question) remember() {
	if q.command.Code != remoting.RequestGetRouteInfoByTopic {
		q.replyTo.Send(&remoting.Reply{Code: remoting.ResponseServiceNotAvailable, Remark: "the outbox reaches no nameserver; try again"})
		return
	}
	topic := q.command.Text("topic")
	var body []byte
	if k := q.agent.routes.get([]byte(topic)); k != nil {
		var err error
		if body, err = q.agent.rewrite(k.body, k.route.Brokers); err != nil {
			q.replyTo.Send(&remoting.Reply{Code: remoting.ResponseSystemError, Remark: err.Error()})
			return
		}
	} else if strings.HasPrefix(topic, "%") {
		q.replyTo.Send(&remoting.Reply{Code: remoting.ResponseTopicNotExist, Remark: "the outbox reaches no nameserver and doesn't know topic " + topic})
		return
	} else {
		body = q.agent.alone(q.command.Version >= versionStandard || q.command.Bool("acceptStandardJsonOnly"))
	}
	q.replyTo.Send(&remoting.Reply{Body: body})
}

// alone is the route of a topic that nobody knows: the agent is its only
// broker, and takes messages and gives none.
func (a *Agent) alone(standard bool) []byte {
	id := masterID
	if standard {
		id = `"` + masterID + `"`
	}
	address, _ := json.Marshal(a.own.here())
	return fmt.Appendf(nil, `{"brokerDatas":[{"brokerAddrs":{%s:%s},"brokerName":%q,"cluster":%q}],"filterServerTable":{},`+
		`"queueDatas":[{"brokerName":%q,"perm":%d,"readQueueNums":%d,"topicSysFlag":0,"writeQueueNums":%d}]}`,
		id, address, ownBroker, ownBroker, ownBroker, permissionWrite, a.config.Queues, a.config.Queues)
}

const (
	routeAge       = time.Second      // after that a route that is needed is asked for again
	routeConfirmed = 30 * time.Second // and after that it may have changed; courses ask every few seconds
)

// brokerState says what is thought of a broker that a route doesn't have.
type brokerState int

const (
	mayReturn brokerState = iota
	goneForGood
)

// place finds where a message goes that its client sent to a queue of a broker.
// A queue that isn't there, as the client had an older route or none, becomes
// one that is; always the same, while the route stays. So do queues of a broker that is gone for good.
func (r *routes) place(broker string, topic []byte, cmd remoting.Command, queue int32, b brokerState) (target, int32, bool) {
	targets := r.current(topic, cmd)
	total := int32(0)
	for _, t := range targets {
		if t.broker == broker {
			return t, queue % t.queues, true
		}
		total += t.queues
	}
	if broker != ownBroker && b != goneForGood || total == 0 {
		return target{}, 0, false
	}
	at := queue % total
	for _, t := range targets {
		if at < t.queues {
			return t, at, true
		}
		at -= t.queues
	}
	return target{}, 0, false
}

// current is the route of a topic, or where such a topic would be created. It
// asks the nameservers where that is unknown or old, and doesn't wait for them.
func (r *routes) current(topic []byte, cmd remoting.Command) []target {
	k := r.get(topic)
	if k == nil || k.stale() {
		r.ask(string(topic))
	}
	if k != nil {
		return k.queues
	}
	model, found := cmd.Get("c")
	if cmd.Code == remoting.RequestSendMessage {
		model, found = cmd.Get("defaultTopic")
	}
	if !found {
		return nil
	}
	if k = r.get(model); k == nil || k.stale() {
		r.ask(string(model))
	}
	if k == nil {
		return nil
	}
	return k.queues
}
