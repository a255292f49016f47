package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/apache/rocketmq-client-go/v2/primitive"

	"github.com/apogeemq/apogee/server/remoting"
)

func TestAConsumerGoesOnWhereItStoppedAfterAStop(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	s := startServer(t)
	consumerGoesOn(t, world{s, func(t *testing.T) {
		if _, err := s.terminate(); err != nil {
			t.Fatalf("stop: %v", err)
		}
		s.restart()
	}})
}

func TestAConsumerGoesOnWhereItStoppedAfterAKill(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	consumerGoesOn(t, alone(t))
}

// consumerGoesOn consumes, ends the server, and consumes on: no message comes
// again that the consumer has confirmed, none is left out.
func consumerGoesOn(t *testing.T, s world) {
	const topic, group, count, queues = "e2e-progress", "e2e-progress-group", 100, 4
	before, after := numbered("before", count), numbered("after", count)
	broker := dial(t, s.brokerAddress())
	p := newProducer(t, s.server)
	sendAll(t, p, messagesOf(topic, before)...)
	in := newInbox(t, s.server, group, topic, "*")
	in.expect(before...)
	var confirmed [queues]int64
	eventually(t, "the consumer's offsets reach the broker", func() error {
		sum := int64(0)
		for queue := range confirmed {
			confirmed[queue] = broker.committed(group, topic, queue)
			sum += confirmed[queue]
		}
		if sum < count/2 {
			sendAll(t, p, primitive.NewMessage(topic, []byte("before, too"))) // the pull behind it brings an offset
			return fmt.Errorf("the offsets sum up to %d of %d", sum, count)
		}
		return nil
	})
	in.close() // what it says last may be lost with its connection
	// Offsets are stored in the order in which they came: when this one is
	// stored those of the consumer are.
	broker.commitOffset("e2e-fence", topic, 0, 1)
	s.crash(t)
	awaitRoute(t, s.server, topic)
	sendAll(t, newProducer(t, s.server), messagesOf(topic, after)...)
	next := newInbox(t, s.server, group, topic, "*")
	eventually(t, "what is new arrives", func() error {
		if lost := missing(after, next.arrived()); len(lost) > 0 {
			return fmt.Errorf("%d are missing", len(lost))
		}
		return nil
	})
	for _, m := range next.messages() {
		if queue := m.Queue.QueueId; strings.HasPrefix(string(m.Body), "before") && m.QueueOffset < confirmed[queue] {
			t.Errorf("%s comes again from offset %d of queue %d, and the consumer was at %d", m.Body, m.QueueOffset, queue, confirmed[queue])
		}
	}
}

func TestAKillSetsOffsetsBackByNoMoreThanWasNotConfirmed(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	s := startServer(t, "offsetCommitIntervalMs=20")
	const topic, group = "e2e-offsets", "e2e-offsets-group"
	sendAll(t, newProducer(t, s), primitive.NewMessage(topic, []byte("creates the topic")))
	for round := range 3 {
		begin := dial(t, s.brokerAddress()).committed(group, topic, 0)
		w := newOffsetWriter(t, s, group, topic, begin)
		await(t, "offsets are confirmed", w.enough)
		s.kill()
		<-w.client.Done()
		s.restart()
		kept := dial(t, s.brokerAddress()).committed(group, topic, 0)
		if confirmed, sent := w.confirmed.Load(), w.sent.Load(); kept < confirmed || kept > sent {
			t.Errorf("round %d: the group is at %d; %d was confirmed, %d was sent", round, kept, confirmed, sent)
		}
	}
}

// offsetWriter commits rising offsets, several of them under way at a time.
type offsetWriter struct {
	client          *remoting.Client
	group, topic    string
	sent, confirmed atomic.Int64
	answers         int
	enough          chan struct{} // closed after some answers
}

func newOffsetWriter(t *testing.T, s *server, group, topic string, begin int64) *offsetWriter {
	t.Helper()
	w := &offsetWriter{group: group, topic: topic, enough: make(chan struct{})}
	w.client = dial(t, s.brokerAddress()).client
	w.sent.Store(begin)
	w.confirmed.Store(begin)
	w.commit()
	return w
}

// commit sends one offset that is answered, and some that are not.
func (w *offsetWriter) commit() {
	offset := w.sent.Add(1)
	err := w.client.Go(w.request(offset), func(reply *remoting.Command, err error) {
		if err != nil || reply.Code != remoting.ResponseSuccess {
			return
		}
		w.confirmed.Store(offset)
		const answersEnough = 10
		if w.answers++; w.answers == answersEnough {
			close(w.enough)
		}
		w.commit()
	})
	for range 3 {
		if err == nil {
			err = w.client.Oneway(w.request(w.sent.Add(1)))
		}
	}
}

func (w *offsetWriter) request(offset int64) *remoting.Request {
	return &remoting.Request{Code: remoting.RequestUpdateConsumerOffset, Header: fields("consumerGroup", w.group,
		"topic", w.topic, "queueId", "0", "commitOffset", strconv.FormatInt(offset, 10))}
}
