package agent

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apogeemq/apogee/server/remoting"
)

// startGathering starts an agent before a broker that takes gathered batches,
// and takes the broker away.
func startGathering(t *testing.T) (*cluster, *Agent, *application) {
	t.Helper()
	c := startCluster(t)
	c.gathers = true
	a := startAgent(t, testConfig(t, c))
	t.Cleanup(func() { stopAgent(t, a) })
	p := newApplication(t, a)
	c.down()
	awaitAway(t, a)
	return c, a, p
}

func TestABrokerThatGathersGetsManyMessagesAtOnceAsTheyWere(t *testing.T) {
	t.Parallel()
	c, a, p := startGathering(t)
	const count = 300
	for i := range count {
		p.spooled(message(i%2, fmt.Sprint(i), "own", "property"))
	}
	c.up()
	eventually(t, "everything to be delivered", func() bool { return a.spool.Waiting() == 0 })
	next := map[string]int{"0": 0, "1": 1}
	got := c.messages()
	for _, s := range got {
		if want := fmt.Sprint(next[s.queue]); s.body != want {
			t.Fatalf("queue %s gets %s, want %s", s.queue, s.body, want)
		}
		next[s.queue] += 2
		if s.properties != "UNIQ_KEY\x01id-"+s.body+"\x02own\x01property\x02" || s.born != fmt.Sprint(testBorn) {
			t.Errorf("message %s has changed: %q, born %s", s.body, s.properties, s.born)
		}
	}
	if len(got) != count || c.batches == 0 || c.batches > count/10 {
		t.Errorf("the broker has %d messages that came in %d batches", len(got), c.batches)
	}
}

func TestABrokerThatHasNoTimeToSayWhatItUnderstandsIsAskedAgain(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	c.gathers, c.shy = true, 2
	a := startAgent(t, testConfig(t, c))
	defer stopAgent(t, a)
	newApplication(t, a)
	eventually(t, "the broker to be known as one that gathers", func() bool { return a.allDoors()[0].upstream.gathers.Load() })
}

func TestWhatABrokerRefusesOfABatchGoesIntoTheQuarantineAloneAndTheOrderStays(t *testing.T) {
	t.Parallel()
	c, a, p := startGathering(t)
	c.answer = func(s sent) remoting.Reply {
		if s.body == "7" {
			return remoting.Reply{Code: remoting.ResponseMessageIllegal, Remark: "no sevens"}
		}
		return remoting.Reply{}
	}
	for i := range 20 {
		p.spooled(message(0, fmt.Sprint(i)))
	}
	c.up()
	eventually(t, "everything to be settled", func() bool { return len(c.bodies()) == 19 && a.stats().Quarantined == 1 })
	if got := strings.Join(c.bodies(), " "); got != "0 1 2 3 4 5 6 8 9 10 11 12 13 14 15 16 17 18 19" {
		t.Errorf("the broker has %s", got)
	}
}

func TestABatchWithoutAnAnswerIsInDoubtAsAWhole(t *testing.T) {
	t.Parallel()
	c, a, p := startGathering(t)
	for i := range 10 {
		p.spooled(message(0, fmt.Sprint(i)))
	}
	c.beSilent(true)
	c.up()
	eventually(t, "a batch to be in doubt", func() bool { return a.stats().InDoubt >= 10 })
	c.beSilent(false)
	eventually(t, "everything to be delivered", func() bool { return a.spool.Waiting() == 0 })
	got := c.messages()
	for i, s := range got[len(got)-10:] {
		if s.body != fmt.Sprint(i) || !strings.Contains(s.properties, propertyDoubt+"\x01true") {
			t.Errorf("at the end stands %+v, want %d, marked", s, i)
		}
	}
}

func TestOnlyWhatABatchCanSayIsGathered(t *testing.T) {
	t.Parallel()
	key := func(change func(*remoting.Request)) string {
		t.Helper()
		r := message(1, "body")
		change(r)
		cmd := remoting.Command{}
		if err := cmd.Decode(frameOf(t, r)); err != nil {
			t.Fatal(err)
		}
		var q request
		if err := q.read(&cmd); err != nil {
			t.Fatal(err)
		}
		key, _ := q.together("broker-a")
		return key
	}
	set := func(name, value string) func(*remoting.Request) {
		return func(r *remoting.Request) {
			for i := range r.Header {
				if r.Header[i].Key == name {
					r.Header[i].Value = value
					return
				}
			}
			r.Set(name, value)
		}
	}
	usual := key(func(*remoting.Request) {})
	if usual == "" {
		t.Fatal("an ordinary message is sent alone")
	}
	for _, change := range []func(*remoting.Request){set("bornTimestamp", "1"), set("flag", "7"), set("properties", "UNIQ_KEY\x01other\x02"), set("brokerName", "broker-a")} {
		if key(change) != usual {
			t.Error("what each message of a batch has for itself keeps it apart")
		}
	}
	for _, name := range []string{"queueId", "sysFlag", "unitMode", "producerGroup"} {
		if got := key(set(name, "3")); got == usual || got == "" {
			t.Errorf("another %s makes %q", name, got)
		}
	}
	for name, value := range map[string]string{"Signature": "x", "AccessKey": "x", "reconsumeTimes": "1", "flag": "x", "sysFlag": "4",
		"properties": "UNIQ_KEY\x01id\x02TIMER_DELIVER_MS\x015\x02"} {
		if got := key(set(name, value)); got != "" {
			t.Errorf("with %s=%s it is gathered", name, value)
		}
	}
	if key(func(r *remoting.Request) { r.Body = nil }) != "" || key(set("properties", "")) != "" {
		t.Error("without a body, or an id, it is gathered")
	}
}
