package broker

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
)

// asker is a client that takes replies and answers with a code.
type asker struct {
	got  chan *remoting.Command
	code int32
}

func (a *asker) Handle(rt remoting.ReplyTo, cmd *remoting.Command) {
	a.got <- cmd.Clone()
	rt.Send(&remoting.Reply{Code: a.code})
}

func (*asker) Closed(*remoting.Conn) {}

// ask connects a producer that waits for replies.
func (h *harness) ask(client string, code int32) *asker {
	h.Helper()
	a := &asker{got: make(chan *remoting.Command, 4), code: code}
	body, err := json.Marshal(map[string]any{"clientID": client, "producerDataSet": []map[string]string{{"groupName": "PG"}}})
	if err != nil {
		h.Fatal(err)
	}
	h.want(h.callAs(h.dial(a), remoting.RequestHeartBeat, nil, body), remoting.ResponseSuccess)
	return a
}

// replyFields are the header of a reply to a client.
func replyFields(client string) fields {
	return sendFields(-1).with("b", "DefaultCluster_REPLY_TOPIC").with("h", "3").
		with("i", "MSG_TYPE\x01reply\x02CORRELATION_ID\x01c-7\x02REPLY_TO_CLIENT\x01"+client+"\x02UNIQ_KEY\x01R1\x02")
}

func TestAReplyReachesWhoeverAskedAndIsStored(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	a := h.ask("asker@1", remoting.ResponseSuccess)
	for i, send := range []func() *remoting.Command{
		func() *remoting.Command {
			return h.call(remoting.RequestSendReplyMessageV2, replyFields("asker@1"), []byte("answer"))
		},
		func() *remoting.Command {
			return h.call(remoting.RequestSendReplyMessage, longSendFields(replyFields("asker@1")), []byte("answer"))
		},
	} {
		answer := h.want(send(), remoting.ResponseSuccess)
		pushed := receive(t, a.got)
		if pushed.Code != remoting.RequestPushReplyMessageToClient || string(pushed.Body) != "answer" {
			t.Errorf("pushed code %d, body %q", pushed.Code, pushed.Body)
		}
		want := map[string]string{
			"producerGroup": "PG", "topic": "DefaultCluster_REPLY_TOPIC", "defaultTopic": "TBW102", "defaultTopicQueueNums": "4", "queueId": "0",
			"sysFlag": "0", "bornTimestamp": "1700000000000", "flag": "3", "reconsumeTimes": "0", "unitMode": "false",
			"storeHost": storeHost.String(),
		}
		got := map[string]string{}
		for name := range want {
			got[name] = pushed.Text(name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("header (-want +got):\n%s", diff)
		}
		properties := record.Properties(pushed.Text("properties"))
		id, _ := properties.Get("CORRELATION_ID")
		pushTime, timed := properties.Get("PUSH_REPLY_TIME")
		if string(id) != "c-7" || !timed || string(pushTime) != pushed.Text("storeTimestamp") || pushed.Text("bornHost") == "" {
			t.Errorf("properties %q, born at %q", properties, pushed.Text("bornHost"))
		}
		if answer.Text("queueOffset") != []string{"0", "1"}[i] || len(answer.Text("msgId")) != 32 || answer.Text("queueId") != "0" {
			t.Errorf("answer %v", answer.Fields)
		}
	}
	records := h.decodeAll(h.want(h.pull(pullFields(0, 0).with("topic", "DefaultCluster_REPLY_TOPIC")), remoting.ResponseSuccess).Body)
	if _, timed := record.Properties(records[0].Properties).Get("PUSH_REPLY_TIME"); len(records) != 2 || timed {
		t.Errorf("%d replies are stored, the first with %q", len(records), records[0].Properties)
	}
}

func TestAReplyWithoutSomebodyToTakeItIsAnError(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.ask("deaf", remoting.ResponseSystemError)
	for client, remark := range map[string]string{
		"gone": "push reply message fail, channel of <gone> not found.", "deaf": "push reply message to deaf fail.",
		"": "reply message properties[REPLY_TO_CLIENT] is null",
	} {
		got := h.want(h.call(remoting.RequestSendReplyMessageV2, replyFields(client), []byte("answer")), remoting.ResponseSystemError)
		if string(got.Remark) != remark || len(got.Text("msgId")) != 32 {
			t.Errorf("client %q: remark %q, message %q", client, got.Remark, got.Text("msgId"))
		}
	}
	batch := h.call(remoting.RequestSendReplyMessageV2, replyFields("deaf").with("m", "true"), batchBody("x"))
	h.want(batch, remoting.ResponseMessageIllegal)
}

func TestAReplyThatIsNotStoredIsPassedOnAllTheSame(t *testing.T) {
	t.Parallel()
	for name, h := range map[string]*harness{
		"switched off": start(t, func(c *Config) { c.StoreReplies = false }), "refused": start(t, nil), "in doubt": start(t, nil),
	} {
		a := h.ask("asker@1", remoting.ResponseSuccess)
		h.log.with(func(l *fakeLog) {
			switch name {
			case "refused":
				l.refusal = engine.ErrDiskFull
			case "in doubt":
				l.outcome = engine.OutcomeUnknown
			}
		})
		before := h.log.proposed()
		got := h.want(h.call(remoting.RequestSendReplyMessageV2, replyFields("asker@1"), []byte("answer")), remoting.ResponseSuccess)
		receive(t, a.got)
		if got.Text("msgId") != "0" || got.Text("queueOffset") != "0" || got.Text("queueId") != "0" {
			t.Errorf("%s: answer %v", name, got.Fields)
		}
		if name == "switched off" && h.log.proposed() != before {
			t.Error("it is stored")
		}
		h.log.with(func(l *fakeLog) { l.refusal, l.outcome = nil, engine.OutcomeCommitted })
	}
}
