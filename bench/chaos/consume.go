package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"golang.org/x/sync/errgroup"

	"github.com/apogeemq/apogee/bench/check"
	"github.com/apogeemq/apogee/server/broker/record"
)

const (
	pushGroup  = "chaos-push"
	pullGroup  = "chaos-pull"
	fenceGroup = "chaos-fence"
	// Groups by their numbers in the history.
	pushNumber  = 1
	fenceNumber = 2
	// commitEvery is the time between commits of the group of fences.
	commitEvery = 100 * time.Millisecond
)

// instances numbers official clients: those of one name share what they know.
var instances atomic.Int64

func instance() string { return fmt.Sprintf("chaos-%d-%d", os.Getpid(), instances.Add(1)) }

// push starts RocketMQ's push consumer, which begins at the first message. The
// function that it returns ends it.
func (t *traffic) push() (end func(), err error) {
	c, err := rocketmq.NewPushConsumer(consumer.WithNameServer(t.nameservers), consumer.WithGroupName(pushGroup),
		consumer.WithInstance(instance()), consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
		consumer.WithConsumerPullTimeout(2*time.Second))
	if err != nil {
		return nil, fmt.Errorf("start the official consumer: %w", err)
	}
	reader := t.readers.Add(1)
	take := func(_ context.Context, messages ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		for _, m := range messages {
			t.took(reader, m)
		}
		return consumer.ConsumeSuccess, nil
	}
	if err = c.Subscribe(topic, consumer.MessageSelector{Type: consumer.TAG, Expression: "*"}, take); err == nil {
		err = c.Start()
	}
	if err != nil {
		return nil, fmt.Errorf("start the official consumer: %w", err)
	}
	return func() { _ = c.Shutdown() }, nil
}

func (t *traffic) took(reader uint32, m *primitive.MessageExt) {
	name, err := check.Identify(m.Body)
	site := t.siteNamed(m.Queue.BrokerName)
	if err != nil || site == nil {
		t.broken(fmt.Sprintf("the official consumer got from %v offset %d: %v", m.Queue, m.QueueOffset, err))
		return
	}
	t.received(reader, site.queue(m.Queue.QueueId), m.QueueOffset, name)
}

// pullAll pulls each queue of a broker, offset by offset, until the context
// ends.
func (t *traffic) pullAll(ctx context.Context, site *brokerSite) error {
	var queues errgroup.Group
	for id := range topicQueues {
		queues.Go(func() error {
			t.pullQueue(ctx, site, id)
			return nil
		})
	}
	return queues.Wait()
}

func (t *traffic) pullQueue(ctx context.Context, site *brokerSite, id int) {
	reader, next := t.readers.Add(1), int64(0)
	for try := 0; ctx.Err() == nil; try++ {
		s, err := dial(ctx, site.address(try))
		for err == nil {
			next, err = s.pull(ctx, pullGroup, id, next, pullHold, func(r record.Record) error {
				m, err := check.Identify(r.Body)
				if err != nil {
					t.broken(fmt.Sprintf("a pull of %v offset %d: %v", site.queue(id), r.QueueOffset, err))
					return err
				}
				t.recorder.Record(check.Event{Kind: check.Pulled, Reader: reader, Queue: site.queue(id), Offset: r.QueueOffset, Message: m})
				return nil
			})
		}
		if s != nil {
			s.close()
		}
		pause(ctx, reconnectTime)
	}
}

// watchOffsets commits offsets of a group of its own, each time after it has
// asked for those of the others: what was there before a commit that was
// confirmed must stay.
func (t *traffic) watchOffsets(ctx context.Context, site *brokerSite) error {
	commits := int64(0)
	for try := 0; ctx.Err() == nil; try++ {
		s, err := dial(ctx, site.address(try))
		for err == nil && pause(ctx, commitEvery) {
			err = t.watchOnce(ctx, s, site, &commits)
		}
		if s != nil {
			s.close()
		}
		pause(ctx, reconnectTime)
	}
	return nil
}

func (t *traffic) watchOnce(ctx context.Context, s *session, site *brokerSite, commits *int64) error {
	for _, g := range []struct {
		name   string
		number uint32
	}{{pushGroup, pushNumber}, {fenceGroup, fenceNumber}} {
		for id := range topicQueues {
			offset, known, err := s.committed(ctx, g.name, id)
			if err != nil {
				return err
			}
			if known {
				t.recorder.Record(check.Event{Kind: check.OffsetRead, Reader: g.number, Queue: site.queue(id), Offset: offset})
			}
		}
	}
	*commits++
	id := int(*commits % topicQueues)
	e := check.Event{Kind: check.CommitBegan, Reader: fenceNumber, Queue: site.queue(id), Offset: *commits}
	t.recorder.Record(e)
	err := s.commit(ctx, fenceGroup, id, *commits)
	if err == nil {
		e.Kind = check.CommitConfirmed
		t.recorder.Record(e)
	}
	return err
}

// readBack reads every queue of a broker from a replica.
func (t *traffic) readBack(ctx context.Context, site *brokerSite, replica uint32, address string) error {
	s, err := dial(ctx, address)
	if err != nil {
		return err
	}
	defer s.close()
	var queues errgroup.Group
	for id := range topicQueues {
		queues.Go(func() error {
			if err := t.readQueue(ctx, s, site, id, replica); err != nil {
				return fmt.Errorf("read back %v: %w", site.queue(id), err)
			}
			return nil
		})
	}
	return queues.Wait()
}

// read records a message that was read back.
func (t *traffic) read(replica uint32, site *brokerSite, r record.Record) error {
	m, err := check.Identify(r.Body)
	if err == nil {
		t.recorder.Record(check.Event{Kind: check.Stored, Reader: replica, Queue: site.queue(int(r.QueueID)), Offset: r.QueueOffset,
			Position: r.Position, StoredMillis: r.StoreTimestamp, Message: m})
	}
	return err
}

// persist asks again while the broker refuses: leadership may be moving.
func persist(ctx context.Context, ask func() error) error {
	ctx, cancel := context.WithTimeout(ctx, serviceTime)
	defer cancel()
	for {
		err := ask()
		if !errors.Is(err, errAnswer) || !pause(ctx, pollTime) {
			return err
		}
	}
}

var errNoProgress = errors.New("the broker says that there is more and returns nothing")

func (t *traffic) readQueue(ctx context.Context, s *session, site *brokerSite, id int, replica uint32) error {
	var first, end int64
	err := persist(ctx, func() (err error) {
		first, end, err = s.bounds(ctx, id)
		return err
	})
	if err != nil {
		return err
	}
	for next := first; next < end; {
		before := next
		err = persist(ctx, func() (err error) {
			next, err = s.pull(ctx, pullGroup, id, next, 0, func(r record.Record) error { return t.read(replica, site, r) })
			return err
		})
		if err == nil && next == before {
			err = errNoProgress
		}
		if err != nil {
			return fmt.Errorf("from offset %d of %d on: %w", before, end, err)
		}
	}
	t.recorder.Record(check.Event{Kind: check.QueueRead, Reader: replica, Queue: site.queue(id), First: first, Offset: end})
	return nil
}
