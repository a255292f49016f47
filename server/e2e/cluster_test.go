package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"

	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
)

const (
	// clusterRun is how many times portsEach the ports of a node come to: those
	// of the first broker, then one for replication, then those of the others at
	// a distance of ten.
	clusterRun = 6
	// silenceMax bounds the time without SEND_OK when a node is killed, on a
	// machine that is busy with other tests: what was under way to it takes the
	// client's 3 s, as this client doesn't see that the connection has ended.
	// clientPause is between two sends.
	silenceMax  = 6 * time.Second
	clientPause = 2 * time.Millisecond
	// messagesAfter are confirmed after a node is gone: seconds on a busy machine.
	messagesAfter = 500
)

// startCluster starts three servers that run three groups.
func startCluster(t *testing.T, settings ...string) *group {
	t.Helper()
	c := &group{t: t}
	nameservers, peers := "", ""
	for i := range 3 {
		s := &server{t: t, dir: t.TempDir(), ports: freeRun(t, clusterRun)}
		t.Cleanup(s.cleanUp)
		c.servers = append(c.servers, s)
		nameservers += s.nameserverAddress() + ";"
		peers += fmt.Sprintf("n%d-%s;", i, loopback(int(s.ports)+portsEach))
	}
	for i, s := range c.servers {
		s.settings = append([]string{"namesrvAddr=" + nameservers, "clusterPeers=" + peers, fmt.Sprint("clusterSelfId=n", i)}, settings...)
		s.launch()
	}
	for _, s := range c.servers {
		for number := range c.servers {
			if err := s.process.journal.wait(fmt.Sprint("msg=ready broker=broker-a-n", number)); err != nil {
				t.Fatalf("start a server: %v\n%s", err, s.process.journal)
			}
		}
	}
	return c
}

// groupAddress is where a server serves clients of a group.
func (s *server) groupAddress(number int) string { return loopback(s.ports.broker() + 10*number) }

// masters are the brokers with a master in a topic's route.
func masters(t *testing.T, s *server, topic string) []string {
	t.Helper()
	var names []string
	for name, addresses := range routeOf(t, s, topic) {
		if addresses["0"] != "" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// steadyLoad is an official producer with default settings that sends one
// message after the other.
type steadyLoad struct {
	producer rocketmq.Producer
	cancel   context.CancelFunc
	running  sync.WaitGroup

	mu        sync.Mutex
	confirmed []string
	last      time.Time     // of SEND_OK
	silence   time.Duration // the longest between two
}

func (c *group) beginSteadyLoad(t *testing.T, groups int) *steadyLoad {
	t.Helper()
	sendAll(t, newProducer(t, c.servers[0]), primitive.NewMessage(officialTopic, []byte("creates the topic")))
	eventually(t, "the topic is on all groups", func() error {
		for _, s := range c.servers {
			if got := masters(t, s, officialTopic); len(got) != groups {
				return fmt.Errorf("it is on %q", got)
			}
		}
		return nil
	})
	p, err := rocketmq.NewProducer(producer.WithNameServer(c.nameservers()),
		producer.WithInstanceName(instance()), producer.WithGroupName("e2e-steady"))
	if err == nil {
		err = p.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Shutdown() })
	ctx, cancel := context.WithCancel(t.Context())
	l := &steadyLoad{producer: p, cancel: cancel, last: time.Now()}
	l.running.Go(func() { l.run(ctx) })
	return l
}

func (c *group) nameservers() []string {
	var all []string
	for _, s := range c.servers {
		all = append(all, s.nameserverAddress())
	}
	return all
}

func (l *steadyLoad) run(ctx context.Context) {
	tick := time.NewTicker(clientPause)
	defer tick.Stop()
	for i := 0; ctx.Err() == nil; i++ {
		body := fmt.Sprint("steady-", i)
		result, err := l.producer.SendSync(context.Background(), primitive.NewMessage(officialTopic, []byte(body)))
		if err == nil && result.Status == primitive.SendOK {
			l.take(body)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
}

func (l *steadyLoad) take(body string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.confirmed = append(l.confirmed, body)
	l.silence = max(l.silence, now.Sub(l.last))
	l.last = now
}

// goOn waits until so many more messages are confirmed.
func (l *steadyLoad) goOn(t *testing.T, more int) {
	t.Helper()
	confirmed := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.confirmed)
	}
	grow(t, "confirmed messages", confirmed()+more, confirmed)
}

// takeSilence is the longest time without SEND_OK since it was last asked for;
// one that goes on counts.
func (l *steadyLoad) takeSilence() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	longest := max(l.silence, time.Since(l.last))
	l.silence = 0
	return longest
}

// end returns what was confirmed.
func (l *steadyLoad) end() []string {
	l.cancel()
	l.running.Wait()
	return l.confirmed
}

// missing are the bodies that are not among others.
func missing(bodies, among []string) []string {
	there := make(map[string]bool, len(among))
	for _, b := range among {
		there[b] = true
	}
	return slices.DeleteFunc(slices.Clone(bodies), func(b string) bool { return there[b] })
}

// TestAClusterGoesOnWithoutANodeThatIsKilledForGood has a producer and a
// consumer of the official client, with its default settings, in a cluster that
// loses a node.
func TestAClusterGoesOnWithoutANodeThatIsKilledForGood(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	c := startCluster(t)
	l := c.beginSteadyLoad(t, 3)
	in := newInbox(t, c.servers[1], "e2e-cluster", officialTopic, "*")
	// A pull that comes before the client's first heartbeat is refused, and the
	// client tries again 3 s later: it must have begun with each group.
	eventually(t, "the consumer gets messages of all groups", func() error {
		groups := make(map[string]int)
		for _, m := range in.messages() {
			groups[m.Queue.BrokerName]++
		}
		if len(groups) < 3 || len(in.arrived()) < 200 {
			return fmt.Errorf("%v", groups)
		}
		return nil
	})
	before := l.takeSilence()
	c.servers[0].kill()
	l.goOn(t, messagesAfter)
	silence := l.takeSilence()
	confirmed := l.end()
	t.Logf("%d messages; longest time without SEND_OK %v, before the kill %v", len(confirmed), silence, before)
	if silence > silenceMax {
		t.Errorf("no SEND_OK for %v, at most %v are allowed", silence, silenceMax)
	}
	if got := masters(t, c.servers[1], officialTopic); len(got) != 3 {
		t.Errorf("without the node there are masters of %q", got)
	}
	var stored []string
	for number := range 3 {
		p := dial(t, c.servers[1].groupAddress(number))
		for queue := range loadQueues {
			if err := p.readQueue(officialTopic, queue, func(r record.Record) error {
				stored = append(stored, string(r.Body))
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if lost := missing(confirmed, stored); len(lost) > 0 {
		t.Errorf("%d of %d confirmed messages are lost: %.200s", len(lost), len(confirmed), strings.Join(lost, " "))
	}
	eventually(t, "the consumer has everything", func() error {
		if lost := missing(confirmed, in.arrived()); len(lost) > 0 {
			return fmt.Errorf("%d messages of %d are missing: %.300s", len(lost), len(confirmed), strings.Join(lost, " "))
		}
		return nil
	})
}

// TestATransferIsHardlyFelt moves the leadership of groups under the load of an
// official producer.
func TestATransferIsHardlyFelt(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	c := startCluster(t, "leaderReturnDelayMs=0")
	l := c.beginSteadyLoad(t, 3)
	for number := range 3 {
		before := l.takeSilence()
		to := (number + 1) % 3
		p := dial(t, c.servers[number].groupAddress(number))
		if reply := p.ask(remoting.RequestTransferLeadership, "peer", fmt.Sprint("n", to)); reply.Code != remoting.ResponseSuccess {
			t.Fatalf("transfer of group %d: code %d, %s", number, reply.Code, reply.Remark)
		}
		l.goOn(t, messagesAfter/2)
		silence := l.takeSilence()
		t.Logf("group %d: longest time without SEND_OK %v, before the transfer %v", number, silence, before)
		if silence > silenceMax {
			t.Errorf("group %d: no SEND_OK for %v, at most %v are allowed", number, silence, silenceMax)
		}
	}
	before := l.takeSilence()
	if took, err := c.servers[2].terminate(); err != nil {
		t.Errorf("a server that is stopped, after %v: %v", took, err)
	}
	l.goOn(t, messagesAfter/2)
	silence := l.takeSilence()
	t.Logf("a node is stopped: longest time without SEND_OK %v, before %v", silence, before)
	if silence > silenceMax {
		t.Errorf("no SEND_OK for %v, at most %v are allowed", silence, silenceMax)
	}
	l.end()
}

// TestATransferOfTheOnlyGroupIsHardlyFelt has a client that knows no other group
// to go to.
func TestATransferOfTheOnlyGroupIsHardlyFelt(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	g := startGroup(t)
	leader := g.leader(g.servers[0], g.servers...)
	l := g.beginSteadyLoad(t, 1)
	for range 3 {
		before := l.takeSilence()
		reply := dial(t, leader.brokerAddress()).ask(remoting.RequestTransferLeadership)
		if reply.Code != remoting.ResponseSuccess {
			t.Fatalf("transfer: code %d, %s", reply.Code, reply.Remark)
		}
		l.goOn(t, messagesAfter/2)
		silence := l.takeSilence()
		t.Logf("longest time without SEND_OK %v, before the transfer %v", silence, before)
		if silence > silenceMax {
			t.Errorf("no SEND_OK for %v, at most %v are allowed", silence, silenceMax)
		}
		leader = g.leader(g.servers[0], g.others(leader)...)
	}
	l.end()
}
