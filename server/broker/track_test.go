package broker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/pending"
	"github.com/apogeemq/apogee/server/broker/delay"
	"github.com/apogeemq/apogee/server/broker/track"
	"github.com/apogeemq/apogee/server/remoting"
)

// tracked is what became of the one message with an id.
func (h *harness) tracked(id, topicName string) track.Message {
	h.Helper()
	got := h.want(h.call(remoting.RequestTrackMessage, fields{"id": id, "topic": topicName}, nil), remoting.ResponseSuccess)
	var a track.Answer
	if err := json.Unmarshal(got.Body, &a); err != nil {
		h.Fatal(err)
	}
	if a.Broker != "broker-a" || len(a.Messages) != 1 {
		h.Fatalf("answer %s", got.Body)
	}
	return a.Messages[0]
}

// summary is a group's state, who acknowledged, and its tries.
func summary(m track.Message) string {
	var b strings.Builder
	for _, g := range m.Groups {
		fmt.Fprintf(&b, "%s %s", g.Group, g.State)
		if a := g.Acknowledged; a != nil {
			fmt.Fprintf(&b, " by %s %d-%d exact=%v", a.Client, a.From, a.To, a.Exact)
		}
		if g.Behind != nil {
			fmt.Fprintf(&b, " behind %d", *g.Behind)
		}
		for _, t := range g.Tries {
			fmt.Fprintf(&b, " [%d %s", t.Number, t.State)
			if t.Acknowledged != nil {
				fmt.Fprintf(&b, " by %s", t.Acknowledged.Client)
			}
			b.WriteString("]")
		}
		if g.Dead != nil {
			fmt.Fprintf(&b, " %s/%d/%d", g.Dead.Topic, g.Dead.Queue, g.Dead.Offset)
		}
		if g.Note != "" {
			fmt.Fprintf(&b, " (%s)", g.Note)
		}
		b.WriteString("\n")
	}
	return b.String()
}

func (h *harness) wantSummary(id string, want ...string) track.Message {
	h.Helper()
	m := h.tracked(id, "")
	if diff := cmp.Diff(strings.Join(append(want, ""), "\n"), summary(m)); diff != "" {
		h.Errorf("message %s (-want +got):\n%s", id, diff)
	}
	return m
}

// consume commits an offset of a group as a client does.
func (h *harness) consume(c *remoting.Client, group, topicName string, offset int) {
	h.Helper()
	f := fields{"consumerGroup": group, "topic": topicName, "queueId": "0", "commitOffset": fmt.Sprint(offset)}
	h.want(h.callAs(c, remoting.RequestUpdateConsumerOffset, f, nil), remoting.ResponseSuccess)
}

// member is a client of a group that consumes T.
func (h *harness) member(client, group, more string) *remoting.Client {
	h.Helper()
	c := h.dial(nil)
	body := fmt.Sprintf(`{"clientID":%q,"consumerDataSet":[{"groupName":%q,%s"subscriptionDataSet":[{"topic":"T","subString":"*","subVersion":1}]}]}`, client, group, more)
	h.want(h.callAs(c, remoting.RequestHeartBeat, nil, []byte(body)), remoting.ResponseSuccess)
	return c
}

const (
	pushes     = `"consumeType":"CONSUME_PASSIVELY","messageModel":"CLUSTERING",`
	pulls      = `"consumeType":"CONSUME_ACTIVELY","messageModel":"CLUSTERING",`
	broadcasts = `"consumeType":"CONSUME_PASSIVELY","messageModel":"BROADCASTING",`
)

// unique sends a message with a unique key to queue 0 of T.
func (h *harness) unique(key string, more ...string) *remoting.Command {
	h.Helper()
	f := sendFields(0).with("i", "UNIQ_KEY\x01"+key+"\x02"+strings.Join(more, ""))
	return h.want(h.call(remoting.RequestSendMessageV2, f, []byte("body of "+key)), remoting.ResponseSuccess).Clone()
}

// deliver does what the duty does when a waiting message is due.
func (h *harness) deliver(handle event.Position) {
	h.Helper()
	var m delay.Message
	var waited delay.Waited
	err := h.log.ReadAt(handle, func(e engine.Message) error {
		waited = delay.Waited{Handle: handle, Record: bytes.Clone(e.Event.Payload()), Stored: e.Timestamp}
		return nil
	})
	if err != nil {
		h.Fatal(err)
	}
	if found, err := m.Load(waited, h.log.topics, waited.Stored); err != nil || !found {
		h.Fatal(found, err)
	}
	h.store(m.Draft)
}

func (h *harness) store(d event.Draft) {
	h.Helper()
	p := &engine.Proposal{Drafts: []event.Draft{d}, Completion: nobody{}}
	if err := h.log.Propose(p); err != nil {
		h.Fatal(err)
	}
}

type nobody struct{}

func (nobody) Complete(*engine.Proposal) {}

func TestEachGroupsAcknowledgmentIsTheCommitThatPassedTheMessage(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	a, b := h.member("a@1", "G", pushes), h.member("b@2", "G", pushes)
	var ids []string
	for i := range 6 {
		ids = append(ids, h.unique(fmt.Sprint("U", i)).Text("msgId"))
	}
	h.wantSummary(ids[0], "G not consumed (the group has committed nothing in this queue)")
	h.consume(a, "G", "T", 2)
	h.consume(b, "G", "T", 5)
	h.member("x@1", "all", broadcasts)
	h.member("y@1", "puller", pulls)
	h.consume(h.member("z@1", "slow", pushes), "slow", "T", 1)
	rest := []string{
		"all not recorded (the group broadcasts: its members keep their offsets themselves)",
		"puller not recorded (the group pulls and has committed nothing in this queue)",
	}
	h.wantSummary(ids[3], append([]string{"G acknowledged by b@2 2-5 exact=true"}, append(rest, "slow not consumed behind 2")...)...)
	h.wantSummary("U1", append([]string{
		"G acknowledged by a@1 -1-2 exact=true (the group's first commit in this queue: it may have begun behind the message)"},
		append(rest, "slow not consumed behind 0")...)...)
	m := h.wantSummary(strings.ToLower(ids[5]), append([]string{"G not consumed behind 0"}, append(rest, "slow not consumed behind 4")...)...)
	if m.Topic != "T" || m.Queue != 0 || m.Offset != 5 || m.ID != ids[5] || m.UniqueKey != "U5" || m.StoredAt == 0 || m.State != track.Stored {
		t.Errorf("message %+v", m)
	}
	h.consume(b, "G", "T", 1) // set back
	h.wantSummary("U3", append([]string{"G not consumed behind 2"}, append(rest, "slow not consumed behind 2")...)...)
	h.consume(a, "G", "T", 4)
	h.wantSummary("U3", append([]string{"G acknowledged by a@1 1-4 exact=true"}, append(rest, "slow not consumed behind 2")...)...)
}

func TestAnOffsetThatAnAdministratorSetsSkipsTheMessage(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	id := h.unique("U1").Text("msgId")
	reset := fields{"group": "CG", "topic": "T", "timestamp": "-1", "isForce": "true"}
	h.want(h.call(remoting.RequestInvokeBrokerToResetOffset, reset, nil), remoting.ResponseSuccess)
	h.wantSummary(id, "CG skipped by offset reset -1-1 exact=true")
}

func TestASentBackMessageIsFollowedThroughItsTriesToTheDeadLetters(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	c := h.member("c@1", "CG", pushes)
	h.createTopic(*retryTopic(retryPrefix + "CG"))
	h.unique("other")
	id := h.unique("U1").Text("msgId")
	original := h.decodeAll(h.want(h.pull(pullFields(0, 1)), remoting.ResponseSuccess).Body)[0]
	h.want(h.call(remoting.RequestConsumerSendMessageBack, backFields(original.Position, "U1", "0"), nil), remoting.ResponseSuccess)
	h.consume(c, "CG", "T", 2)
	first := "(the group's first commit in this queue: it may have begun behind the message)"
	m := h.wantSummary(id, "CG retrying by c@1 -1-2 exact=true [1 waiting] "+first)
	if try := m.Groups[0].Tries[0]; try.Due-try.SentBackAt < 9_000 || try.Place != nil {
		t.Errorf("try %+v", try)
	}

	deliverAll := func() {
		_ = h.log.Before(1<<62, func(e pending.Entry) bool { h.deliver(e.Handle); return true })
	}
	deliverAll()
	m = h.wantSummary("U1", "CG retrying by c@1 -1-2 exact=true [1 queued] "+first)
	if p := m.Groups[0].Tries[0].Place; p == nil || p.Topic != "%RETRY%CG" || p.Offset != 0 {
		t.Fatalf("place %+v", p)
	}
	copied := m.Groups[0].Tries[0].Place
	if again := h.tracked(copied.ID, ""); again.ID != id {
		t.Errorf("the copy leads to %s, not to the original", again.ID)
	}
	h.want(h.call(remoting.RequestConsumerSendMessageBack, backFields(int64(copied.Position), "", "0"), nil), remoting.ResponseSuccess)
	h.consume(c, "CG", "%RETRY%CG", 1)
	h.wantSummary(id, "CG retrying by c@1 -1-2 exact=true [1 acknowledged by c@1] [2 waiting] "+first)
	deliverAll()
	h.consume(c, "CG", "%RETRY%CG", 2)
	m = h.wantSummary(id, "CG acknowledged by c@1 -1-2 exact=true [1 acknowledged by c@1] [2 acknowledged by c@1] "+first)
	last := m.Groups[0].Tries[1].Place
	h.want(h.call(remoting.RequestConsumerSendMessageBack, backFields(int64(last.Position), "", "-1"), nil), remoting.ResponseSuccess)
	h.wantSummary(id, "CG dead by c@1 -1-2 exact=true [1 acknowledged by c@1] [2 acknowledged by c@1] %DLQ%CG/0/0 "+first)
	if other := h.tracked("other", ""); len(other.Groups[0].Tries) > 0 || other.Groups[0].Dead != nil {
		t.Errorf("another message has the tries: %+v", other)
	}
}

func TestACopyIsToldAboutWhenTheOriginalIsGone(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	id := h.unique("U1").Text("msgId")
	original := h.only("T")
	h.want(h.call(remoting.RequestConsumerSendMessageBack, backFields(original.Position, "U1", "-1"), nil), remoting.ResponseSuccess)
	dead := h.only("%DLQ%CG")
	h.log.with(func(l *fakeLog) { l.events = l.events[len(l.events)-1:] }) // retention
	h.want(h.call(remoting.RequestTrackMessage, fields{"id": id}, nil), remoting.ResponseQueryNotFound)
	m := h.wantSummary("U1", "CG dead %DLQ%CG/0/0")
	if m.State != track.CopyFound || m.Topic != "%DLQ%CG" || int64(m.Position) != dead.Position {
		t.Errorf("message %+v", m)
	}
}

func TestMessagesThatWaitAndThoseThatEndedUnseenSaySo(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *Config) { c.Recall = true })
	wantState := func(id string, want track.MessageState) track.Message {
		t.Helper()
		m := h.tracked(id, "")
		if m.State != want || m.Topic != "T" {
			t.Errorf("%s is %q in topic %s, want %q", id, m.State, m.Topic, want)
		}
		return m
	}
	delayed := h.unique("D1", "TIMER_DELAY_SEC\x011000\x02")
	if m := wantState(delayed.Text("msgId"), track.Delayed); m.Due == 0 || m.Offset != -1 {
		t.Errorf("delayed message %+v", m)
	}
	wantState("D1", track.Delayed)
	h.deliver(h.handleOf(delayed))
	if m := wantState(delayed.Text("msgId"), track.Stored); m.Offset != 0 || m.ID == delayed.Text("msgId") {
		t.Errorf("delivered message %+v", m)
	}
	wantState("D1", track.Stored)

	recalled := h.unique("D2", "TIMER_DELAY_SEC\x011000\x02")
	h.want(h.call(remoting.RequestRecallMessage, fields{"producerGroup": "PG", "topic": "T", "recallHandle": recalled.Text("recallHandle")}, nil), remoting.ResponseSuccess)
	if m := wantState("D2", "recalled"); m.EndedAt == 0 {
		t.Errorf("recalled message %+v", m)
	}

	half := h.sendHalf(0, "H1")
	wantState(half.Text("msgId"), track.Half)
	h.want(h.end(half, endRollback), remoting.ResponseSuccess)
	wantState(half.Text("msgId"), "rolled back")
	half = h.sendHalf(0, "H2")
	h.want(h.end(half, endCommit), remoting.ResponseSuccess)
	wantState(half.Text("msgId"), track.Stored)
	wantState("H2", track.Stored)

	half = h.sendHalf(0, "H3", "TIMER_DELAY_SEC\x011000\x02")
	h.want(h.end(half, endCommit), remoting.ResponseSuccess)
	wantState("H3", track.Delayed)
	m := wantState(half.Text("msgId"), track.Delayed)
	h.deliver(m.Position)
	wantState(half.Text("msgId"), track.Stored)
	wantState("H3", track.Stored)

	half = h.sendHalf(0, "H4")
	if err := h.broker.AbandonHalfMessage(h.Context(), h.entry(half)); err != nil {
		t.Fatal(err)
	}
	if m := h.tracked(half.Text("msgId"), "T"); m.State != track.GivenUp || m.Topic != topicHalfExpired {
		t.Errorf("message %+v", m)
	}
	if m := h.tracked("H4", ""); m.State != track.GivenUp || len(m.Groups) > 0 {
		t.Errorf("message %+v", m)
	}
}

func TestWhatCanNotBeTrackedIsRefused(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.unique("U1")
	for name, c := range map[string]struct {
		fields fields
		code   int32
	}{
		"no id":             {fields{}, remoting.ResponseInvalidParameter},
		"a very long id":    {fields{"id": strings.Repeat("x", trackedIDBytesMax+1)}, remoting.ResponseInvalidParameter},
		"an unknown id":     {fields{"id": "U2"}, remoting.ResponseQueryNotFound},
		"an unknown topic":  {fields{"id": "U1", "topic": "U"}, remoting.ResponseQueryNotFound},
		"another topic":     {fields{"id": "U1", "topic": "BenchmarkTest"}, remoting.ResponseQueryNotFound},
		"an event's middle": {fields{"id": "C000020100002A9F0000000000000001"}, remoting.ResponseQueryNotFound},
		"no message":        {fields{"id": "C000020100002A9F0000000000000000"}, remoting.ResponseQueryNotFound},
	} {
		if got := h.call(remoting.RequestTrackMessage, c.fields, nil); got.Code != c.code {
			t.Errorf("%s: code %d with remark %q, want %d", name, got.Code, got.Remark, c.code)
		}
	}
	for i := range track.TopicsMax {
		h.createTopic(TopicSettings{Name: fmt.Sprint("many", i), ReadQueues: 1, WriteQueues: 1, Permission: 6})
	}
	h.want(h.call(remoting.RequestTrackMessage, fields{"id": "U1"}, nil), remoting.ResponseInvalidParameter)
	h.want(h.call(remoting.RequestTrackMessage, fields{"id": "U1", "topic": "T"}, nil), remoting.ResponseSuccess)
}

// TestTriesBelongToTheMessageThatWasSentBack: a send that was repeated leaves
// two messages with one unique key.
func TestTriesBelongToTheMessageThatWasSentBack(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.member("c@1", "CG", pushes)
	first, second := h.unique("U1"), h.unique("U1")
	h.want(h.call(remoting.RequestConsumerSendMessageBack, backFields(int64(h.handleOf(second)), "U1", "0"), nil), remoting.ResponseSuccess)
	nothing := " (the group has committed nothing in this queue)"
	h.wantSummary(first.Text("msgId"), "CG not consumed"+nothing)
	h.wantSummary(second.Text("msgId"), "CG retrying [1 waiting]"+nothing)
}
