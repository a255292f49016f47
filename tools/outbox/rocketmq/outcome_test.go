package rocketmq

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	clienterrors "github.com/apache/rocketmq-client-go/v2/errors"
	"github.com/apache/rocketmq-client-go/v2/primitive"

	"github.com/apogeemq/apogee/replication/transport/porttest"
	"github.com/apogeemq/apogee/tools/outbox"
)

func TestTheClientsErrorsHaveTheirClasses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ err, want error }{
		{clienterrors.ErrRequestTimeout, outbox.ErrInDoubt},
		{io.EOF, outbox.ErrInDoubt},
		{&net.OpError{Op: "write", Err: syscall.EPIPE}, outbox.ErrInDoubt},
		{&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, outbox.ErrNotAccepted},
		{fmt.Errorf("invoke: %w", &net.OpError{Op: "dial", Err: context.DeadlineExceeded}), outbox.ErrNotAccepted},
		{clienterrors.ErrNotRunning, outbox.ErrNotAccepted},
		{clienterrors.ErrService, outbox.ErrNotAccepted},
		{errors.New("the topic=orders route info not found"), outbox.ErrNotAccepted},
		{errors.New("CODE: 1, DESC: system error"), outbox.ErrInDoubt},
		{errors.New("CODE: 2, DESC: busy"), outbox.ErrNotAccepted},
		{errors.New("CODE: 13, DESC: too large"), outbox.ErrRefused},
		{errors.New("CODE: 14, DESC: shutting down"), outbox.ErrNotAccepted},
		{errors.New("CODE: 14, DESC: outcome unknown, retry"), outbox.ErrInDoubt},
		{errors.New("CODE: 16, DESC: no permission"), outbox.ErrNotAccepted},
		{errors.New("CODE: 17, DESC: no topic"), outbox.ErrNotAccepted},
		{errors.New("CODE: 29, DESC: illegal topic"), outbox.ErrRefused},
		{errors.New("CODE: 215, DESC: flow control"), outbox.ErrNotAccepted},
		{errors.New("CODE: 9999, DESC: new"), outbox.ErrInDoubt},
	} {
		if got := outbox.Class(classify(c.err)); got != c.want {
			t.Errorf("%v is %v, want %v", c.err, got, c.want)
		}
		if !errors.Is(classify(c.err), c.err) {
			t.Errorf("%v is lost in %v", c.err, classify(c.err))
		}
	}
}

func TestWhatIsStoredIsDelivered(t *testing.T) {
	t.Parallel()
	for status, want := range map[primitive.SendStatus]outbox.Status{
		primitive.SendOK: outbox.StatusOK, primitive.SendFlushDiskTimeout: outbox.StatusFlushDiskTimeout,
		primitive.SendFlushSlaveTimeout: outbox.StatusFlushSlaveTimeout, primitive.SendSlaveNotAvailable: outbox.StatusSlaveNotAvailable,
	} {
		receipt, err := receiptOf(&primitive.SendResult{Status: status, QueueOffset: 7, OffsetMsgID: "id",
			MessageQueue: &primitive.MessageQueue{BrokerName: "a", QueueId: 3}})
		if err != nil || receipt != (outbox.Receipt{Status: want, Broker: "a", Queue: 3, Offset: 7, MessageID: "id"}) {
			t.Errorf("status %d: %+v, %v", status, receipt, err)
		}
	}
	if _, err := receiptOf(&primitive.SendResult{Status: primitive.SendUnknownError}); outbox.Class(err) != outbox.ErrInDoubt {
		t.Errorf("unknown status: %v", err)
	}
}

// queuesOf are two queues on each of some brokers.
func queuesOf(brokers ...string) (queues []*primitive.MessageQueue) {
	for _, broker := range brokers {
		for id := range 2 {
			queues = append(queues, &primitive.MessageQueue{Topic: "orders", BrokerName: broker, QueueId: id})
		}
	}
	return queues
}

func TestQueuesAreChosenByTheMessage(t *testing.T) {
	t.Parallel()
	s := &selector{choices: &sync.Map{}}
	queues := queuesOf("a", "b", "c")

	owned := clientMessage(&outbox.Message{Topic: "orders", Queue: &outbox.Queue{Broker: "b", ID: 1}})
	if q := s.Select(owned, queues, ""); q != queues[3] {
		t.Errorf("a message for queue 1 of b went to %v", q)
	}
	if q := s.Select(owned, queuesOf("a", "c"), ""); q != nil {
		t.Errorf("a message for a queue that isn't there went to %v", q)
	}
	keyed := clientMessage(&outbox.Message{Topic: "orders", ShardingKey: "customer"})
	for range 10 {
		if q, first := s.Select(keyed, queues, ""), s.Select(keyed, queues, ""); q != first {
			t.Errorf("messages of one key went to %v and %v", first, q)
		}
	}
	used := map[*primitive.MessageQueue]int{}
	free := clientMessage(&outbox.Message{Topic: "orders"})
	for range 4 * len(queues) {
		used[s.Select(free, queues, "")]++
	}
	for _, q := range queues {
		if used[q] != 4 {
			t.Errorf("%v got %d of %d messages in turn", q, used[q], 4*len(queues))
		}
	}
}

func TestBrokersThatDidNotAcceptAreLeftOut(t *testing.T) {
	t.Parallel()
	s := &selector{choices: &sync.Map{}}
	queues := queuesOf("a", "b", "c")
	for range 2 * len(queues) {
		m := clientMessage(&outbox.Message{Topic: "orders"})
		c := &choice{tried: []string{"a"}}
		s.choices.Store(m, c)
		if q := s.Select(m, queues, ""); q == nil || q.BrokerName == "a" || q.BrokerName != c.broker || !c.others {
			t.Errorf("after a: %v, %+v", q, c)
		}
		c.tried = []string{"a", "c"}
		if q := s.Select(m, queues, ""); q == nil || q.BrokerName != "b" || c.others {
			t.Errorf("after a and c: %v, %+v", q, c)
		}
		c.tried = []string{"a", "b", "c"}
		if q := s.Select(m, queues, ""); q != nil {
			t.Errorf("after all: %v", q)
		}
	}
}

func TestTheOriginalTimeOfBirthGoesAlong(t *testing.T) {
	t.Parallel()
	m := &outbox.Message{Topic: "orders", ID: "U1", Flag: 7, Body: []byte("1"), Born: time.UnixMilli(1700000000123), Tags: "paid"}
	sent := clientMessage(m)
	for name, want := range map[string]string{"BORN_TIMESTAMP": "1700000000123", "UNIQ_KEY": "U1", "TAGS": "paid"} {
		if got := sent.GetProperty(name); got != want {
			t.Errorf("property %s is %q, want %q", name, got, want)
		}
	}
	if sent.Flag != 7 || sent.Topic != "orders" || string(sent.Body) != "1" {
		t.Errorf("%v", sent)
	}
}

func TestWithoutNameserversNothingIsAccepted(t *testing.T) {
	t.Parallel()
	s := open(t, porttest.Address(t)) // where nobody listens
	m := &outbox.Message{Topic: "orders", Body: []byte("1")}
	if err := m.Prepare(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Send(t.Context(), m); outbox.Class(err) != outbox.ErrNotAccepted {
		t.Errorf("got %v, want that nothing was accepted", err)
	}
}

// A nameserver that takes connections and says nothing must not hold up the
// caller, though the client waits for it.
func TestSendReturnsWhenItsContextEnds(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	s := open(t, l.Addr().String())
	m := &outbox.Message{Topic: "orders", Body: []byte("1")}
	if err := m.Prepare(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Send(ctx, m); outbox.Class(err) != outbox.ErrInDoubt || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want doubt because of the deadline", err)
	}
}
