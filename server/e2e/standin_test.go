package e2e

import (
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/apache/rocketmq-client-go/v2/primitive"
)

// TestAProducerThatBeginsBetweenTwoLeadersSendsAtOnce starts an official
// producer when a group has lost its leader and has no majority. The client keeps
// its first route for 30 s, so a route without a master would keep it from
// sending for so long.
func TestAProducerThatBeginsBetweenTwoLeadersSendsAtOnce(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	g := startGroup(t)
	leader := g.leader(g.servers[0], g.servers...)
	sendAll(t, newProducer(t, leader), primitive.NewMessage(officialTopic, []byte("creates the topic")))
	others := g.others(leader)
	asked, stopped := others[0], others[1]
	awaitRoute(t, asked, officialTopic)
	stopped.pause()
	leader.kill()
	eventually(t, "the route has another master", func() error {
		for _, addresses := range routeOf(t, asked, officialTopic) {
			if at := addresses["0"]; at != "" && at != leader.brokerAddress() {
				return nil
			}
		}
		return fmt.Errorf("the route is %v", routeOf(t, asked, officialTopic))
	})
	l := continueOfficialLoad(t, asked, newHistory(), officialWriters)
	l.awaitTried(t)
	began := time.Now()
	stopped.signal(syscall.SIGCONT)
	l.awaitMore(t, 100)
	l.end()
	took := time.Since(began)
	if t.Logf("100 messages were confirmed %v after there was a majority", took); took > silenceMax {
		t.Errorf("that is more than %v", silenceMax)
	}
}

// awaitTried returns when every writer has begun to send.
func (l *officialLoad) awaitTried(t *testing.T) {
	t.Helper()
	eventually(t, "writers send", func() error {
		for _, w := range l.writers {
			w.mu.Lock()
			sent := w.sent
			w.mu.Unlock()
			if sent == 0 {
				return fmt.Errorf("writer %d hasn't begun", w.id)
			}
		}
		return nil
	})
}
