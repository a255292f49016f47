package agent

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// startTwo starts an agent before two brokers of one topic, of which the second
// is gone, and an application that has chosen that one.
func startTwo(t *testing.T, goneAfter time.Duration) (first, second *cluster, a *Agent, p *application) {
	t.Helper()
	first, second = startCluster(t), startCluster(t)
	first.takeSecond(second)
	config := testConfig(t, first)
	config.GoneAfter = goneAfter
	a = startAgent(t, config)
	t.Cleanup(func() { stopAgent(t, a) })
	p = newApplicationOf(t, a, "broker-b")
	p.send(message(0, "before"))
	if got := second.bodies(); !slices.Equal(got, []string{"before"}) {
		t.Fatalf("the second broker has %q", got)
	}
	second.down()
	awaitDoorAway(t, a.doors[second.broker])
	return first, second, a, p
}

// keyed are messages that share a sharding key: they wait for their broker.
func keyed(p *application, bodies ...string) {
	p.t.Helper()
	for _, body := range bodies {
		p.spooled(message(1, body, "__SHARDINGKEY", "key"))
	}
}

func TestSendsGoToAnotherBrokerOfTheTopicBeforeAnythingIsKept(t *testing.T) {
	t.Parallel()
	first, second, a, p := startTwo(t, time.Hour)
	var want []string
	for i := range 20 {
		body := fmt.Sprint(i)
		if got := p.send(message(i%4, body)); got.Code != 0 || got.Text("msgId") != "upstream" {
			t.Fatalf("message %d: %d %s", i, got.Code, got.Remark)
		}
		want = append(want, body)
	}
	keyed(p, "key") // whose queue must not change
	if got := first.bodies(); !slices.Equal(got, want) {
		t.Errorf("the first broker has %q, want %q", got, want)
	}
	if n := a.spool.Waiting(); n != 1 {
		t.Errorf("%d messages wait, want the one with a sharding key", n)
	}
	if n := a.metrics.elsewhere.Get(); n != 20 {
		t.Errorf("%d messages are counted as sent to another broker", n)
	}
	second.up()
	eventually(t, "the last to be delivered", func() bool { return a.spool.Waiting() == 0 })
	if got := second.bodies(); !slices.Equal(got, []string{"before", "key"}) {
		t.Errorf("the second broker has %q", got)
	}
}

func TestWhatWaitsForABrokerThatIsGoneForGoodGoesToOthersInItsOrder(t *testing.T) {
	t.Parallel()
	first, _, a, p := startTwo(t, 100*time.Millisecond)
	keyed(p, "1", "2", "3")
	signed := message(2, "signed", "__SHARDINGKEY", "another")
	signed.Set("Signature", "of what can't be changed")
	p.spooled(signed)
	first.takeSecond(nil) // the nameserver forgets it
	eventually(t, "the others to be delivered", func() bool { return len(first.bodies()) == 3 && a.spool.Waiting() == 1 })
	if got := strings.Join(first.bodies(), ""); got != "123" {
		t.Errorf("the first broker has %q", got)
	}
	if rows, err := a.waiting(10); err != nil || len(rows) != 1 || rows[0].ID != "id-signed" {
		t.Errorf("%+v wait, %v; want the signed one", rows, err)
	}
}

func TestABrokerThatRoutesDoNotNameForAWhileGetsItsMessages(t *testing.T) {
	t.Parallel()
	first, second, a, p := startTwo(t, time.Hour)
	keyed(p, "1", "2")
	first.takeSecond(nil)
	eventually(t, "the agent to hear of it", func() bool { return len(a.routes.writable([]byte("T"))) == 1 })
	second.up()
	first.takeSecond(second)
	eventually(t, "everything to be delivered", func() bool { return a.spool.Waiting() == 0 })
	if got := strings.Join(second.bodies(), " "); got != "before 1 2" {
		t.Errorf("the second broker has %q", got)
	}
	if got := first.bodies(); len(got) > 0 {
		t.Errorf("the first broker has %q", got)
	}
}
