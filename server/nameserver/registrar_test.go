package nameserver

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/apogeemq/apogee/server/remoting"
)

// topicList is a TopicSource that a test changes.
type topicList struct {
	mu      sync.Mutex
	version DataVersion
	topics  []TopicConfig
}

func (l *topicList) RegisteredTopics() (DataVersion, []TopicConfig) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.version, append([]TopicConfig(nil), l.topics...)
}

func (l *topicList) set(topics ...TopicConfig) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.version.Counter++
	l.topics = topics
}

func topic(name string, queues int32) TopicConfig {
	return TopicConfig{Name: name, ReadQueues: queues, WriteQueues: queues, Permission: 6}
}

func newRegistrar(t *testing.T, topics *topicList, nameservers ...string) *Registrar {
	t.Helper()
	r := NewRegistrar(RegistrarConfig{
		Nameservers: nameservers, Topics: topics, Retry: 10 * time.Millisecond, Log: quiet,
		Broker: Broker{Cluster: "DefaultCluster", Name: "broker-a", Address: "10.0.0.1:10911", HAAddress: "10.0.0.1:10912"},
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		r.Stop(ctx)
	})
	return r
}

func (w *watched) queues(topicName string) int32 {
	w.table.mu.RLock()
	defer w.table.mu.RUnlock()
	return w.table.topics[topicName]["broker-a"].readQueues
}

func TestABrokerRegistersAtOnceAtEveryNameserver(t *testing.T) {
	t.Parallel()
	topics := &topicList{}
	topics.set(topic("T", 4), topic("U", 1))
	w1, s1, _ := start(t, "127.0.0.1:0")
	w2, s2, _ := start(t, "127.0.0.1:0")
	newRegistrar(t, topics, s1.Addr().String(), s2.Addr().String())
	for _, w := range []*watched{w1, w2} {
		w.waitRequest(t, remoting.RequestRegisterBroker)
		if n := w.queues("T"); n != 4 {
			t.Errorf("T has %d queues, want 4", n)
		}
	}
}

func TestANameserverThatIsDownDelaysNobody(t *testing.T) {
	t.Parallel()
	topics := &topicList{}
	topics.set(topic("T", 4), topic("U", 1))
	down, err := net.Listen("tcp", "127.0.0.1:0") // takes connections, never answers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = down.Close() })
	w, s, _ := start(t, "127.0.0.1:0")
	r := newRegistrar(t, topics, down.Addr().String(), "127.0.0.1:1", s.Addr().String())
	w.waitRequest(t, remoting.RequestRegisterBroker)
	topics.set(topic("T", 8), topic("U", 1))
	r.TopicsChanged()
	w.waitRequest(t, remoting.RequestRegisterBroker)
	if n := w.queues("T"); n != 8 {
		t.Errorf("T has %d queues, want 8", n)
	}
}

func TestABrokerWithOneTopicIsTaken(t *testing.T) {
	t.Parallel()
	topics := &topicList{}
	topics.set(topic("T", 4))
	w, s, _ := start(t, "127.0.0.1:0")
	newRegistrar(t, topics, s.Addr().String())
	w.waitRequest(t, remoting.RequestRegisterBroker)
	w.waitRequest(t, remoting.RequestRegisterBroker)
	if n := w.queues("T"); n != 4 {
		t.Errorf("T has %d queues, want 4", n)
	}
}

func TestOnlyChangedTopicsAreSentAgain(t *testing.T) {
	t.Parallel()
	topics := &topicList{}
	topics.set(topic("T", 4), topic("U", 1))
	w, s, _ := start(t, "127.0.0.1:0")
	r := newRegistrar(t, topics, s.Addr().String())
	w.waitRequest(t, remoting.RequestRegisterBroker)
	// What the nameserver forgets behind the broker's back comes back only if
	// the broker sends it.
	w.table.deleteTopic("U", "")
	topics.set(topic("T", 16), topic("U", 1))
	r.TopicsChanged()
	w.waitRequest(t, remoting.RequestRegisterBroker)
	if n := w.queues("T"); n != 16 {
		t.Errorf("T has %d queues, want 16", n)
	}
	if n := w.queues("U"); n != 0 {
		t.Errorf("U was sent again without a change")
	}
}

func TestATopicThatIsDeletedAndCreatedAgainIsSentAgain(t *testing.T) {
	t.Parallel()
	topics := &topicList{}
	topics.set(topic("T", 4), topic("U", 1))
	w, s, _ := start(t, "127.0.0.1:0")
	r := newRegistrar(t, topics, s.Addr().String())
	w.waitRequest(t, remoting.RequestRegisterBroker)
	topics.set(topic("U", 2)) // T is gone; U has changed, so that there is something to wait for
	r.TopicsChanged()
	w.waitRequest(t, remoting.RequestRegisterBroker)
	w.table.deleteTopic("T", "")
	topics.set(topic("T", 4), topic("U", 2))
	r.TopicsChanged()
	w.waitRequest(t, remoting.RequestRegisterBroker)
	if n := w.queues("T"); n != 4 {
		t.Errorf("T has %d queues, want 4", n)
	}
}

func TestEachPeriodBringsAllTopics(t *testing.T) {
	t.Parallel()
	topics := &topicList{}
	topics.set(topic("T", 4), topic("U", 1))
	w, s, _ := start(t, "127.0.0.1:0")
	r := NewRegistrar(RegistrarConfig{Nameservers: []string{s.Addr().String()}, Topics: topics, Period: time.Millisecond,
		Log: quiet, Broker: Broker{Cluster: "DefaultCluster", Name: "broker-a", Address: "10.0.0.1:10911"}})
	t.Cleanup(func() { r.Stop(t.Context()) })
	w.waitRequest(t, remoting.RequestRegisterBroker)
	w.table.deleteTopic("U", "")
	for range 2 { // the first may have been under way
		w.waitRequest(t, remoting.RequestRegisterBroker)
	}
	if n := w.queues("U"); n != 1 {
		t.Errorf("U has %d queues after a period, want 1", n)
	}
}

func TestALargeTableGoesOutInPartsAndArrivesWhole(t *testing.T) {
	t.Parallel()
	topics := &topicList{}
	many := func(queues int32) (list []TopicConfig) {
		for i := range 2*topicsPerRegistration + 1 {
			list = append(list, topic(fmt.Sprintf("T%d", i), queues))
		}
		return list
	}
	topics.set(many(1)...)
	w, s, _ := start(t, "127.0.0.1:0")
	r := newRegistrar(t, topics, s.Addr().String())
	last := fmt.Sprintf("T%d", 2*topicsPerRegistration)
	for round := int32(1); round <= 2; round++ {
		for range 3 {
			w.waitRequest(t, remoting.RequestRegisterBroker)
		}
		for _, name := range []string{"T0", "T15000", last} {
			if n := w.queues(name); n != round {
				t.Errorf("%s has %d queues, want %d", name, n, round)
			}
		}
		topics.set(many(round + 1)...)
		r.TopicsChanged()
	}
}

func TestABrokerRegistersAgainWhenItsNameserverComesBack(t *testing.T) {
	t.Parallel()
	topics := &topicList{}
	topics.set(topic("T", 4), topic("U", 1))
	w, s, _ := start(t, "127.0.0.1:0")
	newRegistrar(t, topics, s.Addr().String())
	w.waitRequest(t, remoting.RequestRegisterBroker)
	address := s.Addr().String()
	stop(t, s)
	w, _, _ = start(t, address)
	w.waitRequest(t, remoting.RequestRegisterBroker)
	if n := w.queues("U"); n != 1 {
		t.Errorf("U has %d queues after the nameserver's restart, want 1", n)
	}
}

func TestStopUnregisters(t *testing.T) {
	t.Parallel()
	topics := &topicList{}
	topics.set(topic("T", 4), topic("U", 1))
	w, s, _ := start(t, "127.0.0.1:0")
	r := newRegistrar(t, topics, s.Addr().String(), "127.0.0.1:1")
	w.waitRequest(t, remoting.RequestRegisterBroker)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r.Stop(ctx)
	w.waitRequest(t, remoting.RequestUnregisterBroker)
	if n := r.Registered(); n != 0 {
		t.Errorf("%d registrations are left", n)
	}
}
