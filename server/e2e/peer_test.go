package e2e

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"testing"

	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
)

// peer is a connection to a server that speaks the protocol without a client
// library in between.
type peer struct {
	t      *testing.T
	client *remoting.Client
}

// quiet is for clients whose servers die.
var quiet = slog.New(slog.DiscardHandler)

func dial(t *testing.T, address string) *peer {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	client, err := remoting.Dial(ctx, address, remoting.ClientOptions{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &peer{t, client}
}

// fields makes header fields of keys and values in turn.
func fields(pairs ...string) []remoting.TextField {
	list := make([]remoting.TextField, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, remoting.TextField{Key: pairs[i], Value: pairs[i+1]})
	}
	return list
}

// ask sends a request and returns the response, whatever its code.
func (p *peer) ask(code int32, pairs ...string) *remoting.Command {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	reply, err := p.client.Call(ctx, &remoting.Request{Code: code, Header: fields(pairs...)})
	if err != nil {
		p.t.Fatal(err)
	}
	return reply
}

// must is ask for requests that have to succeed.
func (p *peer) must(code int32, pairs ...string) *remoting.Command {
	p.t.Helper()
	reply := p.ask(code, pairs...)
	if reply.Code != remoting.ResponseSuccess {
		p.t.Fatalf("request %d %q: code %d, %s", code, pairs, reply.Code, reply.Remark)
	}
	return reply
}

// number asks for the one number of an answer.
func (p *peer) number(code int32, pairs ...string) int64 {
	p.t.Helper()
	n, ok := p.must(code, pairs...).Int("offset")
	if !ok {
		p.t.Fatalf("request %d %q: the answer has no offset", code, pairs)
	}
	return n
}

// commitOffset stores a consumer offset; it is stored when commitOffset
// returns.
func (p *peer) commitOffset(group, topic string, queue int, offset int64) {
	p.t.Helper()
	p.must(remoting.RequestUpdateConsumerOffset, "consumerGroup", group, "topic", topic,
		"queueId", strconv.Itoa(queue), "commitOffset", strconv.FormatInt(offset, 10))
}

// committed is a group's offset in a queue, 0 when it has none.
func (p *peer) committed(group, topic string, queue int) int64 {
	p.t.Helper()
	reply := p.ask(remoting.RequestQueryConsumerOffset, "consumerGroup", group, "topic", topic, "queueId", strconv.Itoa(queue))
	if reply.Code == remoting.ResponseQueryNotFound {
		return 0
	}
	n, ok := reply.Int("offset")
	if reply.Code != remoting.ResponseSuccess || !ok {
		p.t.Fatalf("offset of group %s in queue %d of %s: code %d, %s", group, queue, topic, reply.Code, reply.Remark)
	}
	return n
}

// readQueue visits all messages of a queue from its first offset on. The
// record is valid until visit returns.
func (p *peer) readQueue(topic string, queue int, visit func(record.Record) error) error {
	p.t.Helper()
	id := strconv.Itoa(queue)
	end := p.number(remoting.RequestGetMaxOffset, "topic", topic, "queueId", id)
	if first := p.number(remoting.RequestGetMinOffset, "topic", topic, "queueId", id); first != 0 {
		return fmt.Errorf("queue %d begins at offset %d", queue, first)
	}
	const subscriptionIncluded = "4"
	for next := int64(0); next < end; {
		reply := p.must(remoting.RequestPullMessage, "consumerGroup", "e2e-reader", "topic", topic, "queueId", id,
			"queueOffset", strconv.FormatInt(next, 10), "maxMsgNums", "32", "sysFlag", subscriptionIncluded,
			"commitOffset", "0", "suspendTimeoutMillis", "0", "subscription", "*", "subVersion", "1", "expressionType", "TAG")
		for rest := reply.Body; len(rest) > 0; {
			r, after, err := record.Decode(rest)
			if err != nil {
				return fmt.Errorf("queue %d after offset %d: %w", queue, next, err)
			}
			if record.BodySum(r.Body) != r.BodySum {
				return fmt.Errorf("queue %d offset %d: the body's checksum is wrong", queue, r.QueueOffset)
			}
			if err := visit(r); err != nil {
				return fmt.Errorf("queue %d offset %d: %w", queue, r.QueueOffset, err)
			}
			rest = after
		}
		begin, ok := reply.Int("nextBeginOffset")
		if !ok || begin <= next {
			return fmt.Errorf("queue %d: a pull from offset %d says to go on at %d", queue, next, begin)
		}
		next = begin
	}
	return nil
}
