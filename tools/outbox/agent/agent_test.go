package agent

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
	"github.com/apogeemq/apogee/tools/client"
	"github.com/apogeemq/apogee/tools/outbox/spool"
)

func TestWhileTheClusterAcceptsItsOwnAnswersComeBackAndNothingIsKept(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	a := startAgent(t, testConfig(t, c))
	defer stopAgent(t, a)
	p := newApplication(t, a)
	for i := range 20 {
		if got := p.send(message(i%4, fmt.Sprint(i))); got.Text("msgId") != "upstream" || got.Text(remarkSpooled) != "" {
			t.Fatalf("got %d %s", got.Code, got.Remark)
		}
	}
	c.say(remoting.ResponseMessageIllegal, "too large")
	if got := p.send(message(0, "x")); got.Code != remoting.ResponseMessageIllegal || string(got.Remark) != "too large" {
		t.Errorf("a refusal becomes %d %s", got.Code, got.Remark)
	}
	if got := p.send(client.NewRequest(remoting.RequestGetMaxOffset)); string(got.Remark) != "the broker's answer" {
		t.Errorf("what is no send is answered with %d %s", got.Code, got.Remark)
	}
	if len(c.bodies()) != 20 || a.stats().Spooled != 0 {
		t.Errorf("the broker has %d, %d were kept", len(c.bodies()), a.stats().Spooled)
	}
}

func TestWhenNobodyAcceptsMessagesAreKeptAndDeliveredInOrderAsTheyWere(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	a := startAgent(t, testConfig(t, c))
	defer stopAgent(t, a)
	p := newApplication(t, a)
	p.send(message(1, "direct"))
	c.down()
	awaitAway(t, a)
	for i := range 50 {
		p.spooled(message(i%2, fmt.Sprint(i), "own", "property"))
	}
	c.up()
	eventually(t, "everything to be delivered", func() bool { return a.spool.Waiting() == 0 })
	next := map[string]int{"0": 0, "1": 1}
	for _, s := range c.messages()[1:] {
		if want := fmt.Sprint(next[s.queue]); s.body != want {
			t.Fatalf("queue %s gets %s, want %s", s.queue, s.body, want)
		}
		next[s.queue] += 2
		if s.properties != "UNIQ_KEY\x01id-"+s.body+"\x02own\x01property\x02" || s.born != fmt.Sprint(testBorn) {
			t.Errorf("message %s has changed: %q, born %s", s.body, s.properties, s.born)
		}
	}
	if got := p.send(message(1, "direct")); got.Text("msgId") != "upstream" {
		t.Errorf("afterwards sends aren't forwarded: %d %s", got.Code, got.Remark)
	}
}

func TestABusyBrokerIsNoReasonToFailAndItsQueueKeepsItsOrder(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	a := startAgent(t, testConfig(t, c))
	defer stopAgent(t, a)
	p := newApplication(t, a)
	c.say(remoting.ResponseSystemBusy, "busy")
	p.spooled(message(0, "first"))
	c.mu.Lock()
	c.answer = func(s sent) remoting.Reply {
		if s.body == "first" {
			return remoting.Reply{Code: remoting.ResponseSystemBusy}
		}
		return remoting.Reply{}
	}
	c.mu.Unlock()
	p.spooled(message(0, "second")) // it must not overtake
	if got := p.send(message(1, "other")); got.Text(remarkSpooled) != "" {
		t.Error("another queue waits for it")
	}
	c.say(0, "")
	eventually(t, "everything to be delivered", func() bool { return a.spool.Waiting() == 0 })
	if got := c.bodies(); !slices.Equal(got, []string{"other", "first", "second"}) {
		t.Errorf("the broker has %q", got)
	}
}

func TestAMessageWithoutAnAnswerIsKeptAndMarkedAsAPossibleDuplicate(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	a := startAgent(t, testConfig(t, c))
	defer stopAgent(t, a)
	p := newApplication(t, a)
	c.beSilent(true)
	began := time.Now()
	p.spooled(message(0, "doubt"))
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the answer took %v", took)
	}
	c.beSilent(false)
	eventually(t, "it to be delivered", func() bool { return a.spool.Waiting() == 0 })
	got := c.messages()
	last := got[len(got)-1]
	if len(got) < 2 || !strings.Contains(last.properties, propertyDoubt+"\x01true") || !strings.Contains(last.properties, "UNIQ_KEY\x01id-doubt\x02") {
		t.Errorf("the broker has %q", got)
	}
	if a.stats().InDoubt == 0 {
		t.Error("nobody counts it")
	}
}

func TestWhatWaitsSurvivesARestartWhileTheClusterIsAwayAndDoorsStay(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	config := testConfig(t, c)
	a := startAgent(t, config)
	p := newApplication(t, a)
	door := p.agent.allDoors()[0].here()
	c.down()
	p.spooled(message(2, "before"))
	stopAgent(t, a)
	a = startAgent(t, config)
	defer stopAgent(t, a)
	p = newApplication(t, a) // the route comes from memory
	if got := a.allDoors()[0].here(); got != door {
		t.Errorf("the door has moved from %s to %s", door, got)
	}
	p.spooled(message(2, "after"))
	c.up()
	eventually(t, "everything to be delivered", func() bool { return a.spool.Waiting() == 0 })
	if got := c.bodies(); !slices.Equal(got, []string{"before", "after"}) {
		t.Errorf("the broker has %q", got)
	}
}

func TestTheAgentAloneIsTheBrokerOfATopicThatNobodyKnows(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	c.down()
	a := startAgent(t, testConfig(t, c))
	defer stopAgent(t, a)
	p := newApplication(t, a)
	for i := range 8 {
		p.spooled(message(i%4, fmt.Sprint(i)))
	}
	c.queues = 2 // fewer than the agent had to assume
	c.up()
	eventually(t, "everything to be delivered", func() bool { return a.spool.Waiting() == 0 })
	got := c.bodies()
	for _, pair := range [][2]string{{"0", "4"}, {"1", "5"}, {"2", "6"}, {"3", "7"}} {
		if first, second := slices.Index(got, pair[0]), slices.Index(got, pair[1]); first < 0 || second < first {
			t.Errorf("the broker has %q", got)
		}
	}
	if name := routeOf(t, a, "T").Brokers[0].Name; name != "broker-a" {
		t.Errorf("the route still names %s", name)
	}
}

func TestWhatTheBrokerRefusesForGoodIsQuarantinedAndTheRestGoesOn(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	a := startAgent(t, testConfig(t, c))
	defer stopAgent(t, a)
	p := newApplication(t, a)
	c.down()
	for _, body := range []string{"good", "bad", "better"} {
		p.spooled(message(0, body))
	}
	c.mu.Lock()
	c.answer = func(s sent) remoting.Reply {
		if s.body == "bad" {
			return remoting.Reply{Code: remoting.ResponseMessageIllegal, Remark: "illegal"}
		}
		return remoting.Reply{}
	}
	c.mu.Unlock()
	c.up()
	eventually(t, "two to be delivered", func() bool { return len(c.bodies()) == 2 })
	eventually(t, "one to be in quarantine", func() bool { return a.spool.Stats().Quarantined == 1 })
	rows, err := a.quarantined(10)
	if err != nil || len(rows) != 1 || rows[0].ID != "id-bad" || !strings.Contains(rows[0].Reason, "13: illegal") {
		t.Fatalf("the quarantine has %+v, %v", rows, err)
	}
	c.say(0, "")
	var done resolved
	ask(t, a, "POST", "/outbox/retry?all=true", &done)
	eventually(t, "the third to be delivered", func() bool { return len(c.bodies()) == 3 })
	if got := c.bodies(); done.Done != 1 || !slices.Equal(got, []string{"good", "better", "bad"}) {
		t.Errorf("the broker has %q", got)
	}
}

func TestAKeptMessageIsFoundByItsIdAndItsKeys(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	a := startAgent(t, testConfig(t, c))
	defer stopAgent(t, a)
	p := newApplication(t, a)
	c.down()
	kept := p.spooled(message(3, "body", "KEYS", "one two"))
	position, err := record.ParseMessageID(kept.Text("msgId"))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "it to be applied", func() bool { return a.spool.At(event.Position(position), func(spool.Item) {}) == nil })
	check := func(what string, r *remoting.Request) {
		got := p.send(r)
		m, _, err := record.Decode(got.Body)
		if got.Code != 0 || err != nil || string(m.Body) != "body" || m.QueueID != 3 || string(m.Topic) != "T" {
			t.Errorf("%s: %d %s, %+v, %v", what, got.Code, got.Remark, m, err)
		}
	}
	check("by id", client.NewRequest(remoting.RequestViewMessageByID, "offset", fmt.Sprint(position)))
	for _, key := range []string{"one", "two", "id-body"} {
		check("by key "+key, client.NewRequest(remoting.RequestQueryMessage, "topic", "T", "key", key, "maxNum", "32", "beginTimestamp", "0", "endTimestamp", "9999999999999"))
	}
	var rows []Listed
	ask(t, a, "GET", "/outbox/message?topic=T&id=id-body", &rows)
	if len(rows) != 1 || rows[0].Queue != 3 || string(rows[0].Body) != "body" {
		t.Errorf("show tells %+v", rows)
	}
}

func TestTransactionsAreRefusedAndDelaysKeepTheirTime(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	a := startAgent(t, testConfig(t, c))
	defer stopAgent(t, a)
	p := newApplication(t, a)
	c.down()
	half := message(0, "half", "TRAN_MSG", "true")
	if got := p.send(half); got.Code != remoting.ResponseServiceNotAvailable || !strings.Contains(string(got.Remark), "transaction") {
		t.Errorf("a half message: %d %s", got.Code, got.Remark)
	}
	p.spooled(message(0, "level", "DELAY", "2"))
	p.spooled(message(0, "seconds", "TIMER_DELAY_SEC", "7"))
	p.spooled(message(0, "time", "TIMER_DELIVER_MS", "1700000009000"))
	c.up()
	eventually(t, "everything to be delivered", func() bool { return a.spool.Waiting() == 0 })
	for i, due := range []int{testBorn + 5000, testBorn + 7000, testBorn + 9000} {
		if got := c.messages()[i].properties; !strings.Contains(got, fmt.Sprint("TIMER_DELIVER_MS\x01", due, "\x02")) || strings.Contains(got, "DELAY") {
			t.Errorf("message %d is sent with %q", i, got)
		}
	}
}

func TestShardingKeysKeepTheirOrderWhateverTheQueue(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	a := startAgent(t, testConfig(t, c))
	defer stopAgent(t, a)
	p := newApplication(t, a)
	c.down()
	for i := range 10 {
		p.spooled(message(i%4, fmt.Sprint(i), "__SHARDINGKEY", "key")) // as if queues came and went
	}
	c.up()
	eventually(t, "everything to be delivered", func() bool { return a.spool.Waiting() == 0 })
	if got := strings.Join(c.bodies(), ""); got != "0123456789" {
		t.Errorf("the broker has %q", got)
	}
}

func TestABatchIsKeptAsOneAndEachOfItsMessagesIsFound(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	a := startAgent(t, testConfig(t, c))
	defer stopAgent(t, a)
	p := newApplication(t, a)
	var body []byte
	for _, text := range []string{"one", "two"} {
		properties := "UNIQ_KEY\x01id-" + text + "\x02"
		item := make([]byte, 16, 64)
		item = append(binary.BigEndian.AppendUint32(item, uint32(len(text))), text...)
		item = append(binary.BigEndian.AppendUint16(item, uint16(len(properties))), properties...)
		binary.BigEndian.PutUint32(item, uint32(len(item)))
		body = append(body, item...)
	}
	batch := client.NewRequest(remoting.RequestSendBatchMessage, "a", "G", "b", "T", "e", "1", "f", "0", "g", fmt.Sprint(testBorn), "h", "0", "m", "true")
	batch.Body = body
	c.beSilent(true)
	p.spooled(batch)
	var rows []Listed
	eventually(t, "it to be in the index", func() bool { rows, _ = a.waiting(10); return len(rows) == 1 })
	if rows[0].Messages != 2 || rows[0].ID != "id-one" {
		t.Errorf("the list has %+v", rows)
	}
	if found, err := a.show("T", "id-two"); err != nil || len(found) != 1 {
		t.Errorf("the second message isn't found: %v", err)
	}
	c.beSilent(false)
	eventually(t, "it to be delivered", func() bool { return a.spool.Waiting() == 0 })
	got := c.messages()
	last := got[len(got)-1]
	rest := []byte(last.body)
	for _, text := range []string{"one", "two"} {
		item, after, err := record.SplitBatch(rest)
		if err != nil || string(item.Body) != text || !bytes.Contains(item.Properties, []byte(propertyDoubt)) {
			t.Fatalf("message %s arrives as %+v, %v", text, item, err)
		}
		rest = after
	}
}

func TestTheDrainIsLimited(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	config := testConfig(t, c)
	config.DrainRate = 100
	a := startAgent(t, config)
	defer stopAgent(t, a)
	p := newApplication(t, a)
	c.down()
	const count = 40
	for i := range count {
		p.spooled(message(i%4, fmt.Sprint(i)))
	}
	c.up()
	eventually(t, "the first to be delivered", func() bool { return len(c.bodies()) > 0 })
	began := time.Now()
	eventually(t, "everything to be delivered", func() bool { return a.spool.Waiting() == 0 })
	if took := time.Since(began); took < 250*time.Millisecond {
		t.Errorf("%d messages at 100/s took %v", count, took)
	}
}
