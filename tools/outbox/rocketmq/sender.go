package rocketmq

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	client "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"

	"github.com/apogeemq/apogee/tools/outbox"
)

// propertyBorn has the original time of birth, in milliseconds.
const propertyBorn = "BORN_TIMESTAMP"

// callsMax bounds the calls of the client that are under way. It looks up
// routes for longer than its caller may wait, so some of them outlive their
// attempt.
const callsMax = 1024

// Sender sends with a producer of the official client. It is safe for
// concurrent use.
type Sender struct {
	producer client.Producer
	choices  sync.Map // *primitive.Message to *choice, of messages under way
	calls    chan struct{}
}

// Open starts a producer with the client's options. Its retries and its choice
// of queues are set by this package, whatever the options say. Nameservers and
// brokers may be away.
func Open(options ...producer.Option) (*Sender, error) {
	s := &Sender{calls: make(chan struct{}, callsMax)}
	p, err := client.NewProducer(append(options[:len(options):len(options)],
		producer.WithRetry(0), producer.WithQueueSelector(&selector{choices: &s.choices}))...)
	if err != nil {
		return nil, fmt.Errorf("make a producer: %w", err)
	}
	if err := p.Start(); err != nil {
		return nil, fmt.Errorf("start a producer: %w", err)
	}
	s.producer = p
	return s, nil
}

// Close ends the producer. Messages under way may still arrive.
func (s *Sender) Close() error {
	if err := s.producer.Shutdown(); err != nil {
		return fmt.Errorf("end a producer: %w", err)
	}
	return nil
}

// Send makes one attempt, at several brokers where that keeps the order; it is
// the method of outbox.Sender.
func (s *Sender) Send(ctx context.Context, m *outbox.Message) (outbox.Receipt, error) {
	ordered := m.ShardingKey != "" || m.Queue != nil
	var failures error
	var tried []string
	for {
		c := &choice{tried: tried}
		receipt, err := s.try(ctx, m, c)
		if err == nil {
			return receipt, nil
		}
		failures = errors.Join(failures, err)
		// A call that is in doubt may still be under way, and write to c.
		if ordered || outbox.Class(err) != outbox.ErrNotAccepted || ctx.Err() != nil || !c.others {
			return outbox.Receipt{}, fmt.Errorf("send message %s to topic %s: %w", m.ID, m.Topic, failures)
		}
		tried = append(tried, c.broker)
	}
}

// outcome is what a call of the client came to.
type outcome struct {
	result *primitive.SendResult
	err    error
}

// try makes one call of the client and returns its outcome, or that it is in
// doubt when ctx ends before.
func (s *Sender) try(ctx context.Context, m *outbox.Message, c *choice) (outbox.Receipt, error) {
	select {
	case s.calls <- struct{}{}:
	case <-ctx.Done():
		return outbox.Receipt{}, fmt.Errorf("%w: %d calls of the client are under way: %w", outbox.ErrNotAccepted, callsMax, ctx.Err())
	}
	sent := clientMessage(m)
	s.choices.Store(sent, c)
	done := make(chan outcome, 1)
	go func() {
		defer func() { <-s.calls }()
		defer s.choices.Delete(sent)
		result, err := s.producer.SendSync(ctx, sent)
		done <- outcome{result, err}
	}()
	select {
	case o := <-done:
		if o.err != nil {
			return outbox.Receipt{}, classify(o.err)
		}
		return receiptOf(o.result)
	case <-ctx.Done():
		return outbox.Receipt{}, fmt.Errorf("%w: %w", outbox.ErrInDoubt, ctx.Err())
	}
}

// clientMessage is the message as the client wants it. The body is shared.
func clientMessage(m *outbox.Message) *primitive.Message {
	sent := primitive.NewMessage(m.Topic, m.Body)
	sent.Flag = m.Flag
	for name, value := range m.AllProperties() {
		sent.WithProperty(name, value)
	}
	sent.WithProperty(propertyBorn, strconv.FormatInt(m.Born.UnixMilli(), 10))
	if m.Queue != nil {
		sent.Queue = &primitive.MessageQueue{Topic: m.Topic, BrokerName: m.Queue.Broker, QueueId: m.Queue.ID}
	}
	return sent
}
