package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/apogeemq/apogee/bench/chaos/cluster"
	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
)

const (
	topic       = "chaos"
	topicQueues = 4
	callTime    = 3 * time.Second
	dialTime    = time.Second
	// pullHold is how long a broker may hold a pull that finds nothing.
	pullHold = time.Second
)

// session is a connection that speaks the protocol without a client library.
type session struct{ client *remoting.Client }

// quiet is for clients whose servers die.
var quiet = slog.New(slog.DiscardHandler)

func dial(ctx context.Context, address string) (*session, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	c, err := remoting.Dial(ctx, address, remoting.ClientOptions{Logger: quiet, CallTimeout: callTime})
	if err != nil {
		return nil, err
	}
	return &session{c}, nil
}

func (s *session) close() { s.client.Close() }

// errAnswer is an answer with an error code.
var errAnswer = errors.New("the broker answers")

// ask sends a request with keys and values in turn, and expects one of two codes.
func (s *session) ask(ctx context.Context, code int32, pairs ...string) (*remoting.Command, error) {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	reply, err := s.client.Call(ctx, &remoting.Request{Code: code, Header: fields(pairs...)})
	if err != nil {
		return nil, err
	}
	if reply.Code != remoting.ResponseSuccess {
		return reply, fmt.Errorf("request %d %q: %w code %d, %s", code, pairs, errAnswer, reply.Code, reply.Remark)
	}
	return reply, nil
}

func fields(pairs ...string) []remoting.TextField {
	list := make([]remoting.TextField, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, remoting.TextField{Key: pairs[i], Value: pairs[i+1]})
	}
	return list
}

// createTopic makes the topic of the run.
func (s *session) createTopic(ctx context.Context) error {
	count := strconv.Itoa(topicQueues)
	_, err := s.ask(ctx, remoting.RequestUpdateAndCreateTopic, "topic", topic, "defaultTopic", "TBW102",
		"readQueueNums", count, "writeQueueNums", count, "perm", "6", "topicFilterType", "SINGLE_TAG", "topicSysFlag", "0", "order", "false")
	return err
}

// makeTopic makes the topic of the run on all brokers, and returns when clients
// find it.
func makeTopic(ctx context.Context, c *cluster.Cluster) ([]*brokerSite, error) {
	var sites []*brokerSite
	for i, b := range c.Brokers() {
		sites = append(sites, &brokerSite{name: b.Name, number: i, addresses: b.Addresses})
		s, err := dial(ctx, b.Addresses[0])
		if err != nil {
			return nil, fmt.Errorf("reach broker %s: %w", b.Name, err)
		}
		err = s.createTopic(ctx)
		s.close()
		if err != nil {
			return nil, fmt.Errorf("create the topic: %w", err)
		}
	}
	for _, nameserver := range c.Nameservers() {
		if err := awaitRoute(ctx, nameserver, len(sites)); err != nil {
			return nil, err
		}
	}
	return sites, nil
}

// awaitRoute returns when a nameserver knows the run's topic and its masters: a
// broker serves before its registration has got there, and the official client
// doesn't wait.
func awaitRoute(ctx context.Context, nameserver string, brokers int) error {
	s, err := dial(ctx, nameserver)
	if err != nil {
		return fmt.Errorf("reach nameserver %s: %w", nameserver, err)
	}
	defer s.close()
	ctx, cancel := context.WithTimeout(ctx, serviceTime)
	defer cancel()
	for {
		reply, err := s.ask(ctx, remoting.RequestGetRouteInfoByTopic, "topic", topic, "acceptStandardJsonOnly", "true")
		if err == nil && masters(reply.Body) == brokers {
			return nil
		}
		if err != nil && !errors.Is(err, errAnswer) || !pause(ctx, pollTime) {
			return fmt.Errorf("wait for the route at nameserver %s: %w", nameserver, errors.Join(err, ctx.Err()))
		}
	}
}

// masters counts the brokers of a route that have one.
func masters(route []byte) int {
	var r struct {
		Brokers []struct {
			Addresses map[string]string `json:"brokerAddrs"`
		} `json:"brokerDatas"`
	}
	if json.Unmarshal(route, &r) != nil {
		return 0
	}
	count := 0
	for _, b := range r.Brokers {
		if b.Addresses["0"] != "" {
			count++
		}
	}
	return count
}

// offset asks for the one number of an answer.
func (s *session) offset(ctx context.Context, code int32, pairs ...string) (int64, error) {
	reply, err := s.ask(ctx, code, pairs...)
	if err != nil {
		return 0, err
	}
	n, ok := reply.Int("offset")
	if !ok {
		return 0, fmt.Errorf("request %d %q: the answer has no offset", code, pairs)
	}
	return n, nil
}

// committed is a group's offset in a queue; known is false when it has none.
func (s *session) committed(ctx context.Context, group string, queue int) (offset int64, known bool, err error) {
	reply, err := s.ask(ctx, remoting.RequestQueryConsumerOffset, "consumerGroup", group, "topic", topic, "queueId", strconv.Itoa(queue))
	if reply != nil && reply.Code == remoting.ResponseQueryNotFound {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	offset, known = reply.Int("offset")
	return offset, known, nil
}

// commit stores a group's offset; it is stored when commit returns nil.
func (s *session) commit(ctx context.Context, group string, queue int, offset int64) error {
	_, err := s.ask(ctx, remoting.RequestUpdateConsumerOffset, "consumerGroup", group, "topic", topic,
		"queueId", strconv.Itoa(queue), "commitOffset", strconv.FormatInt(offset, 10))
	return err
}

// pull visits messages of a queue from an offset on and returns the next
// offset. It returns after pullHold at the latest when there are none and wait
// is above zero. The record is valid until visit returns.
func (s *session) pull(ctx context.Context, group string, queue int, next int64, wait time.Duration, visit func(record.Record) error) (int64, error) {
	flags := "4" // the subscription is in the request
	if wait > 0 {
		flags = "6" // and the broker may hold it
	}
	reply, err := s.ask(ctx, remoting.RequestPullMessage, "consumerGroup", group, "topic", topic, "queueId", strconv.Itoa(queue),
		"queueOffset", strconv.FormatInt(next, 10), "maxMsgNums", "32", "sysFlag", flags, "commitOffset", "0",
		"suspendTimeoutMillis", strconv.FormatInt(wait.Milliseconds(), 10), "subscription", "*", "subVersion", "1", "expressionType", "TAG")
	if reply != nil && (reply.Code == remoting.ResponsePullNotFound || reply.Code == remoting.ResponsePullRetryImmediately) {
		return next, nil
	}
	if err != nil {
		return next, err
	}
	for rest := reply.Body; len(rest) > 0; {
		r, after, err := record.Decode(rest)
		if err != nil {
			return next, fmt.Errorf("queue %d after offset %d: %w", queue, next, err)
		}
		if record.BodySum(r.Body) != r.BodySum {
			return next, fmt.Errorf("queue %d offset %d: the body's checksum is wrong", queue, r.QueueOffset)
		}
		if err := visit(r); err != nil {
			return next, err
		}
		next, rest = r.QueueOffset+1, after
	}
	return next, nil
}

// bounds are the first offset of a queue and the one after its last.
func (s *session) bounds(ctx context.Context, queue int) (first, end int64, err error) {
	id := strconv.Itoa(queue)
	if first, err = s.offset(ctx, remoting.RequestGetMinOffset, "topic", topic, "queueId", id); err != nil {
		return 0, 0, err
	}
	end, err = s.offset(ctx, remoting.RequestGetMaxOffset, "topic", topic, "queueId", id)
	return first, end, err
}
