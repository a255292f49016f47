package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/apogeemq/apogee/server/remoting"
)

// masterID is the broker id of a master.
const masterID = "0"

// Broker is what nameservers know of the brokers of one name.
type Broker struct {
	Name      string            `json:"brokerName"`
	Cluster   string            `json:"cluster"`
	Addresses map[string]string `json:"brokerAddrs"` // by broker id, "0" is the master
}

// Reading is the address to read from: the master's, else that of the replica
// with the smallest id. It is "" when nobody is there.
func (b *Broker) Reading() string {
	if address := b.Addresses[masterID]; address != "" {
		return address
	}
	ids := slices.SortedFunc(maps.Keys(b.Addresses), func(a, b string) int {
		return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
	})
	if len(ids) == 0 {
		return ""
	}
	return b.Addresses[ids[0]]
}

// Master is the master's address, "" when there is none.
func (b *Broker) Master() string { return b.Addresses[masterID] }

// QueueData are the queues of a topic on one broker.
type QueueData struct {
	Broker      string `json:"brokerName"`
	ReadQueues  int    `json:"readQueueNums"`
	WriteQueues int    `json:"writeQueueNums"`
	Permission  int    `json:"perm"` // 4 read, 2 write
}

// Route is where a topic is.
type Route struct {
	Brokers []Broker    `json:"brokerDatas"`
	Queues  []QueueData `json:"queueDatas"`
}

// Broker finds a broker of the route by its name.
func (r *Route) Broker(name string) *Broker {
	for i := range r.Brokers {
		if r.Brokers[i].Name == name {
			return &r.Brokers[i]
		}
	}
	return nil
}

// ErrNoTopic says that a topic does not exist.
var ErrNoTopic = errors.New("there is no such topic")

// Route asks where a topic is: a nameserver or, with --broker, the broker.
func (c *Cluster) Route(ctx context.Context, topic string) (*Route, error) {
	if c.broker != "" {
		return c.routeOfBroker(ctx, topic)
	}
	answer, err := c.Nameserver(ctx, NewRequest(remoting.RequestGetRouteInfoByTopic, "topic", topic))
	if IsRefusal(err, remoting.ResponseTopicNotExist) {
		return nil, fmt.Errorf("topic %q: %w", topic, ErrNoTopic)
	}
	if err != nil {
		return nil, err
	}
	r := &Route{}
	if err := Decode(answer.Body, r); err != nil {
		return nil, fmt.Errorf("route of topic %q: %w", topic, err)
	}
	slices.SortFunc(r.Queues, func(a, b QueueData) int { return cmp.Compare(a.Broker, b.Broker) })
	return r, nil
}

func (c *Cluster) routeOfBroker(ctx context.Context, topic string) (*Route, error) {
	answer, err := c.Call(ctx, c.broker, NewRequest(remoting.RequestGetTopicConfig, "topic", topic))
	if IsRefusal(err, remoting.ResponseTopicNotExist) {
		return nil, fmt.Errorf("topic %q: %w", topic, ErrNoTopic)
	}
	if err != nil {
		return nil, err
	}
	q := QueueData{Broker: c.broker}
	if err := Decode(answer.Body, &q); err != nil {
		return nil, fmt.Errorf("configuration of topic %q: %w", topic, err)
	}
	q.Broker = c.broker
	return &Route{Brokers: []Broker{c.only()}, Queues: []QueueData{q}}, nil
}

// only is the broker of --broker. Its name is not known, so the address stands
// for it.
func (c *Cluster) only() Broker {
	return Broker{Name: c.broker, Addresses: map[string]string{masterID: c.broker}}
}

// Brokers are all brokers, sorted by cluster and name.
func (c *Cluster) Brokers(ctx context.Context) ([]Broker, error) {
	if c.broker != "" {
		return []Broker{c.only()}, nil
	}
	answer, err := c.Nameserver(ctx, NewRequest(remoting.RequestGetBrokerClusterInfo))
	if err != nil {
		return nil, err
	}
	var info struct {
		Brokers map[string]Broker `json:"brokerAddrTable"`
	}
	if err := Decode(answer.Body, &info); err != nil {
		return nil, fmt.Errorf("brokers of the cluster: %w", err)
	}
	return slices.SortedFunc(maps.Values(info.Brokers), func(a, b Broker) int {
		return cmp.Or(cmp.Compare(a.Cluster, b.Cluster), cmp.Compare(a.Name, b.Name))
	}), nil
}

// Masters are the addresses of all masters. That there is none is an error.
func (c *Cluster) Masters(ctx context.Context) ([]string, error) {
	brokers, err := c.Brokers(ctx)
	if err != nil {
		return nil, err
	}
	var masters []string
	for _, b := range brokers {
		if m := b.Master(); m != "" {
			masters = append(masters, m)
		}
	}
	if len(masters) == 0 {
		return nil, fmt.Errorf("%v know no broker that is a master", c.nameservers)
	}
	return masters, nil
}

// QueueKey is a queue as RocketMQ's tables have it.
type QueueKey struct {
	Topic  string `json:"topic"`
	Broker string `json:"brokerName"`
	Queue  int    `json:"queueId"`
}

// UnmarshalText reads the JSON of a queue, which stands as a key in a map.
func (q *QueueKey) UnmarshalText(text []byte) error {
	type plain QueueKey
	return json.Unmarshal(text, (*plain)(q))
}

// CompareQueues orders by topic, broker and number.
func CompareQueues(a, b QueueKey) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Broker, b.Broker), cmp.Compare(a.Queue, b.Queue))
}

// Queue is a queue with the address to reach it.
type Queue struct {
	QueueKey
	Address string
}

// ReadQueues are all queues of a topic that can be read.
func (c *Cluster) ReadQueues(ctx context.Context, topic string) ([]Queue, error) {
	const read = 4
	return c.queues(ctx, topic, read, (*Broker).Reading, func(q QueueData) int { return q.ReadQueues })
}

// WriteQueues are all queues of a topic that can be written.
func (c *Cluster) WriteQueues(ctx context.Context, topic string) ([]Queue, error) {
	const write = 2
	return c.queues(ctx, topic, write, (*Broker).Master, func(q QueueData) int { return q.WriteQueues })
}

func (c *Cluster) queues(ctx context.Context, topic string, permission int, address func(*Broker) string, count func(QueueData) int) ([]Queue, error) {
	r, err := c.Route(ctx, topic)
	if err != nil {
		return nil, err
	}
	var queues []Queue
	for _, q := range r.Queues {
		b := r.Broker(q.Broker)
		if b == nil || address(b) == "" || q.Permission&permission == 0 {
			continue
		}
		for id := range count(q) {
			queues = append(queues, Queue{QueueKey{Topic: topic, Broker: q.Broker, Queue: id}, address(b)})
		}
	}
	if len(queues) == 0 {
		return nil, fmt.Errorf("topic %q has no queue whose broker is in reach and permits that", topic)
	}
	return queues, nil
}

// Bound asks for the first (RequestGetMinOffset) or next (RequestGetMaxOffset)
// offset of a queue.
func (c *Cluster) Bound(ctx context.Context, code int32, q Queue) (int64, error) {
	return c.offset(ctx, q, NewRequest(code, "topic", q.Topic, "queueId", strconv.Itoa(q.Queue)))
}

// OffsetAt asks for the offset of a queue's first message that was stored at
// that time, in Unix milliseconds, or later.
func (c *Cluster) OffsetAt(ctx context.Context, q Queue, millis int64) (int64, error) {
	return c.offset(ctx, q, NewRequest(remoting.RequestSearchOffsetByTimestamp,
		"topic", q.Topic, "queueId", strconv.Itoa(q.Queue), "timestamp", strconv.FormatInt(millis, 10)))
}

func (c *Cluster) offset(ctx context.Context, q Queue, r *remoting.Request) (int64, error) {
	answer, err := c.Call(ctx, q.Address, r)
	if err != nil {
		return 0, err
	}
	offset, ok := answer.Int("offset")
	if !ok {
		return 0, fmt.Errorf("%s answers request %d without an offset", q.Address, r.Code)
	}
	return offset, nil
}
