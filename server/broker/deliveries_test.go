package broker

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/server/broker/track"
	"github.com/apogeemq/apogee/server/remoting"
)

// recorder is a gatherer of deliveries on a fake log; it runs until the bubble
// ends.
func recorder(t *testing.T, log *fakeLog, limit int) *deliveries {
	t.Helper()
	c := testConfig()
	c.Logger, c.Limits.DeliveredRuns = slog.New(slog.DiscardHandler), limit
	d := newDeliveries(&c, log.dependencies(), newBrokerMetrics(&c))
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	go d.run(ctx)
	return d
}

// recorded are the deliveries in the events of the log, by event.
func recorded(t *testing.T, log *fakeLog) (events [][]event.Delivery) {
	t.Helper()
	for _, s := range log.events {
		if s.event.Kind() != event.KindDelivered {
			continue
		}
		list, err := event.DecodeDeliveries(s.event.Payload())
		if err != nil {
			t.Fatal(err)
		}
		events = append(events, list)
	}
	return events
}

// ranges shows the offsets and messages of deliveries.
func ranges(events [][]event.Delivery) string {
	var b strings.Builder
	for _, list := range events {
		for _, d := range list {
			fmt.Fprintf(&b, "%s %s %d-%d:%d+%d ", d.Group, d.Client, d.First, d.Next, d.Messages, d.Span)
		}
		b.WriteString("; ")
	}
	return b.String()
}

func TestDeliveriesAreRecordedTogetherOncePerSecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newFakeLog()
		d := recorder(t, log, 100)
		q := event.Queue{Topic: 1}
		a, b := deliveryKey{"G", "a", q}, deliveryKey{"G", "b", q}
		for i := range event.Offset(250) { // 1.5 s; no pull falls together with a recording
			d.note(a, []run{{i, i + 1, 1}})
			if i%100 == 0 {
				d.note(b, []run{{1000 + i, 1002 + i, 2}})
			}
			<-time.After(6 * time.Millisecond)
		}
		<-time.After(2 * time.Second)
		synctest.Wait()
		want := "G a 0-167:167+996 G b 1000-1002:2+0 G b 1100-1102:2+0 ; G a 167-250:83+492 G b 1200-1202:2+0 ; "
		if got := ranges(recorded(t, log)); got != want {
			t.Errorf("recorded %s, want %s", got, want)
		}
		if n := log.proposed(); n != 2 {
			t.Errorf("%d proposals", n)
		}
		<-time.After(time.Minute)
		if n := log.proposed(); n != 2 {
			t.Errorf("%d proposals when nothing is sent", n)
		}
	})
}

func TestWhatAFilterLeavesOutIsNotRecordedAndWhatIsTooMuchIsCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newFakeLog()
		d := recorder(t, log, 3+runsPerQueue)
		q := event.Queue{Topic: 1}
		k := deliveryKey{"G", "a", q}
		d.note(k, []run{{0, 3, 3}, {5, 6, 1}})
		d.note(k, []run{{6, 7, 1}})
		d.note(k, []run{{2, 4, 2}}) // again
		other := deliveryKey{"H", "a", q}
		for i := range event.Offset(runsPerQueue + 10) {
			d.note(other, []run{{10 * i, 10*i + 1, 1}})
		}
		d.note(deliveryKey{"I", "a", q}, []run{{0, 7, 7}}) // there is no room for it
		<-time.After(2 * time.Second)
		synctest.Wait()
		all := ranges(recorded(t, log))
		last := 10 * (runsPerQueue - 1)
		for _, want := range []string{"G a 0-3:3+0 G a 2-4:2+0 G a 5-7:2+0 ", "H a 0-1:1+0 H a 10-11:1+0 ", fmt.Sprintf("H a %d-%d:11+0 ", last, last+101)} {
			if !strings.Contains(all, want) {
				t.Errorf("%q is not in %s", want, all)
			}
		}
		if strings.Contains(all, "I a") || d.metrics.deliveriesLost.Get() != 7 || d.metrics.deliveriesKept.Get() != 7+runsPerQueue+10 {
			t.Errorf("%d are counted as lost, %d as recorded: %s", d.metrics.deliveriesLost.Get(), d.metrics.deliveriesKept.Get(), all)
		}
	})
}

func TestLongRangesHaveAllTheirHashes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newFakeLog()
		d := recorder(t, log, 1000)
		q := event.Queue{Topic: 1}
		const messages = 600_000 // more than one event has hashes for
		for i := event.Offset(0); i < messages; i += 32 {
			d.note(deliveryKey{"G", "a", q}, []run{{i, i + 32, 32}})
		}
		<-time.After(2 * time.Second)
		synctest.Wait()
		next := event.Offset(0)
		for _, list := range recorded(t, log) {
			for _, one := range list {
				if one.First != next || one.Messages != uint64(one.Next-one.First) {
					t.Fatalf("%+v after offset %d", one, next)
				}
				next = one.Next
			}
		}
		if next != messages {
			t.Fatalf("recorded up to %d", next)
		}
		for o := event.Offset(0); o < messages; o += 777 {
			found := 0
			err := log.FindHash(event.DeliveryHash("G", q, o), 0, math.MaxUint64, func(m engine.Message) (bool, error) {
				list, err := event.DecodeDeliveries(m.Event.Payload())
				found += len(slices.DeleteFunc(list, func(d event.Delivery) bool { return o < d.First || o >= d.Next }))
				return true, err
			})
			if err != nil || found != 1 {
				t.Fatalf("offset %d is in %d deliveries; %v", o, found, err)
			}
		}
	})
}

// pullAs pulls queue 0 of a topic for a group, once.
func (h *harness) pullAs(c *remoting.Client, group, topicName string, offset int64, expression string) {
	h.Helper()
	f := pullFields(0, offset).with("consumerGroup", group).with("topic", topicName).with("subscription", expression).with("suspendTimeoutMillis", "0")
	h.want(h.callAs(c, remoting.RequestPullMessage, f, nil), remoting.ResponseSuccess)
}

// recordDeliveries records at once what was sent.
func (h *harness) recordDeliveries() { h.broker.sentOut.flush(h.Context()) }

func TestDeliveriesOfAGroupThatWantsThemAreTold(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.want(h.updateGroup(`{"groupName":"G","attributes":{"+trackDelivery":"true"}}`), remoting.ResponseSuccess)
	h.want(h.updateGroup(`{"groupName":"B","attributes":{"+trackDelivery":"true"}}`), remoting.ResponseSuccess)
	h.want(h.updateGroup(`{"groupName":"other"}`), remoting.ResponseSuccess)
	tagged := h.unique("U0", "TAGS\x01red\x02").Text("msgId")
	h.unique("U1", "TAGS\x01blue\x02")
	h.unique("U2", "TAGS\x01red\x02")
	c, other := h.member("c@1", "G", pushes), h.member("o@1", "other", pushes)
	h.pullAs(c, "G", "T", 0, "red")
	h.pullAs(other, "other", "T", 0, "*")
	h.recordDeliveries()
	nothing := "(the group has committed nothing in this queue)"
	m := h.wantSummary(tagged, "G delivered "+nothing, "other not consumed "+nothing)
	if got := m.Groups[0].Deliveries; len(got) != 1 || got[0].Client != "c@1" || got[0].Gaps || got[0].Since == 0 {
		t.Errorf("deliveries %+v", got)
	}
	h.wantSummary("U1", "G not consumed "+nothing, "other not consumed "+nothing)
	h.pullAs(h.member("d@1", "G", pushes), "G", "T", 0, "*") // after a rebalance
	h.recordDeliveries()
	h.consume(c, "G", "T", 1)
	first := "(the group's first commit in this queue: it may have begun behind the message)"
	m = h.wantSummary("U0", "G acknowledged by c@1 -1-1 exact=true "+first, "other not consumed "+nothing)
	if got := m.Groups[0].Deliveries; len(got) != 2 || got[0].Client == got[1].Client {
		t.Errorf("deliveries %+v", got)
	}
	h.wantSummary("U2", "G delivered behind 1", "other not consumed "+nothing)

	// One that is neither online nor has offsets is told about only then.
	h.pullAs(h.client, "B", "T", 2, "*")
	h.recordDeliveries()
	h.broker.forgetGone()
	h.wantSummary("U1", "G delivered behind 0", "other not consumed "+nothing)
	h.wantSummary("U2", "B delivered "+nothing, "G delivered behind 1", "other not consumed "+nothing)

	h.want(h.updateGroup(`{"groupName":"G","attributes":{"-trackDelivery":""}}`), remoting.ResponseSuccess)
	before := len(recorded(t, h.log))
	h.pullAs(c, "G", "T", 0, "*")
	h.recordDeliveries()
	if n := len(recorded(t, h.log)); n != before {
		t.Errorf("%d events after the attribute was taken away", n-before)
	}
	got := h.updateGroup(`{"groupName":"G","attributes":{"+trackDelivery":"yes"}}`)
	h.want(got, remoting.ResponseSystemError)
}

func TestADeliveryAmongGapsIsNotCertain(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	id := h.unique("U0").Text("msgId")
	h.member("c@1", "G", pushes)
	list := []event.Delivery{{Group: "G", Queue: event.Queue{Topic: h.topicID("T")}, Client: "c@1", First: 0, Next: 5, Messages: 3, Since: 7}}
	h.store(deliveryDrafts(list)[0])
	m := h.wantSummary(id, "G not consumed (the group has committed nothing in this queue; it was perhaps delivered: a filter left out messages near it)")
	if diff := cmp.Diff([]track.Delivery{{Client: "c@1", Since: 7, Until: 7, Gaps: true}}, m.Groups[0].Deliveries); diff != "" {
		t.Error(diff)
	}
}

func TestTriesTellTheirDeliveries(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.want(h.updateGroup(`{"groupName":"CG","attributes":{"+trackDelivery":"true"}}`), remoting.ResponseSuccess)
	c := h.member("c@1", "CG", pushes)
	h.createTopic(*retryTopic(retryPrefix + "CG"))
	sent := h.unique("U1")
	h.want(h.call(remoting.RequestConsumerSendMessageBack, backFields(int64(h.handleOf(sent)), "U1", "0"), nil), remoting.ResponseSuccess)
	h.consume(c, "CG", "T", 1)
	waiting := h.tracked("U1", "").Groups[0].Tries[0]
	h.deliver(h.handleOfTry(waiting))
	h.pullAs(c, "CG", "%RETRY%CG", 0, "*")
	h.recordDeliveries()
	first := "(the group's first commit in this queue: it may have begun behind the message)"
	m := h.wantSummary("U1", "CG retrying by c@1 -1-1 exact=true [1 delivered] "+first)
	if got := m.Groups[0].Tries[0].Deliveries; len(got) != 1 || got[0].Client != "c@1" {
		t.Errorf("deliveries %+v", got)
	}
	h.consume(c, "CG", "%RETRY%CG", 1)
	h.wantSummary("U1", "CG acknowledged by c@1 -1-1 exact=true [1 acknowledged by c@1] "+first)
}

// handleOfTry is the position of what waits to be tried again.
func (h *harness) handleOfTry(try track.Try) event.Position {
	h.Helper()
	for _, s := range h.log.events {
		if s.event.Kind() == event.KindDelayed && s.event.Due() == try.Due {
			return s.position
		}
	}
	h.Fatalf("nothing waits for %d", try.Due)
	return 0
}
