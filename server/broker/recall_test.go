package broker

import (
	"testing"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/server/broker/delay"
	"github.com/apogeemq/apogee/server/remoting"
)

// startRecalling is start with recalls switched on.
func startRecalling(t *testing.T) *harness {
	t.Helper()
	return start(t, func(c *Config) { c.Recall = true })
}

// sendTimed sends a message that is due in an hour, and returns its handle.
func (h *harness) sendTimed(topic, unique string) string {
	h.Helper()
	f := sendFields(0).with("b", topic).with("i", "UNIQ_KEY\x01"+unique+"\x02TIMER_DELAY_SEC\x013600\x02")
	handle := h.want(h.call(remoting.RequestSendMessageV2, f, []byte("b")), remoting.ResponseSuccess).Text("recallHandle")
	if handle == "" {
		h.Fatal("a timed message has no recall handle")
	}
	return handle
}

func recallFields(topic, handle string) fields {
	return fields{"producerGroup": "PG", "topic": topic, "recallHandle": handle}
}

// altered is a handle with something changed.
func (h *harness) altered(handle string, change func(*delay.Handle)) string {
	h.Helper()
	parsed, err := delay.ParseHandle([]byte(handle))
	if err != nil {
		h.Fatal(err)
	}
	change(&parsed)
	return string(delay.AppendHandle(nil, parsed))
}

func TestARecalledMessageWaitsNoMore(t *testing.T) {
	t.Parallel()
	h := startRecalling(t)
	handle := h.sendTimed("T", "U1")
	if n := h.broker.waiting.Counts().Delayed; n != 1 {
		t.Fatalf("%d messages wait, want 1", n)
	}
	answer := h.want(h.call(remoting.RequestRecallMessage, recallFields("T", handle), nil), remoting.ResponseSuccess)
	if got := answer.Text("msgId"); got != "U1" {
		t.Errorf("recalled %q", got)
	}
	if n := h.broker.waiting.Counts().Delayed; n != 0 {
		t.Errorf("%d messages wait after the recall", n)
	}
	before := h.log.proposed()
	h.want(h.call(remoting.RequestRecallMessage, recallFields("T", handle), nil), remoting.ResponseIllegalOperation)
	if n := h.log.proposed(); n != before {
		t.Errorf("a second recall stored %d events", n-before)
	}
}

func TestOnlyTheMessageOfAHandleIsRecalled(t *testing.T) {
	t.Parallel()
	h := startRecalling(t)
	h.createTopic(TopicSettings{Name: "Other", ReadQueues: 1, WriteQueues: 1, Permission: PermissionRead | PermissionWrite})
	handle, others := h.sendTimed("T", "U1"), h.sendTimed("Other", "U2")
	half := h.sendHalf(0, "H1")
	for name, c := range map[string]struct {
		topic, handle string
		code          int32
	}{
		"no handle":                  {"T", "", remoting.ResponseIllegalOperation},
		"no handle of ours":          {"T", "djEgVA==", remoting.ResponseIllegalOperation},
		"another topic":              {"Other", handle, remoting.ResponseIllegalOperation},
		"a topic that isn't there":   {"Nowhere", handle, remoting.ResponseTopicNotExist},
		"another topic's message":    {"T", h.altered(others, func(a *delay.Handle) { a.Topic = "T" }), remoting.ResponseIllegalOperation},
		"another broker":             {"T", h.altered(handle, func(a *delay.Handle) { a.Broker = "broker-b" }), remoting.ResponseIllegalOperation},
		"another time":               {"T", h.altered(handle, func(a *delay.Handle) { a.Due++ }), remoting.ResponseIllegalOperation},
		"a time that has come":       {"T", h.altered(handle, func(a *delay.Handle) { a.Due = 1000 }), remoting.ResponseIllegalOperation},
		"another message's key":      {"T", h.altered(handle, func(a *delay.Handle) { a.UniqueKey = "U9" }), remoting.ResponseIllegalOperation},
		"the middle of a message":    {"T", h.altered(handle, func(a *delay.Handle) { a.Waiting++ }), remoting.ResponseIllegalOperation},
		"a half message's position":  {"T", h.altered(handle, func(a *delay.Handle) { a.Waiting = h.handleOf(half) }), remoting.ResponseIllegalOperation},
		"what was never sent before": {"T", h.altered(handle, func(a *delay.Handle) { a.Waiting = 0 }), remoting.ResponseIllegalOperation},
	} {
		if got := h.call(remoting.RequestRecallMessage, recallFields(c.topic, c.handle), nil); got.Code != c.code {
			t.Errorf("%s: code %d, remark %s; want %d", name, got.Code, got.Remark, c.code)
		}
	}
	if n := h.broker.waiting.Counts(); n.Delayed != 2 || n.Half != 1 {
		t.Errorf("%+v wait", n)
	}
	if n := h.broker.settlement.Taken(); n != 0 {
		t.Errorf("%d handles are taken after refusals", n)
	}
	h.want(h.call(remoting.RequestRecallMessage, recallFields("T", handle), nil), remoting.ResponseSuccess)
}

// TestRecallsOfWhatIsNotThereYetHoldUpNoReads has more of them under way than
// there are readers.
func TestRecallsOfWhatIsNotThereYetHoldUpNoReads(t *testing.T) {
	t.Parallel()
	h := startRecalling(t)
	h.send(0, "TagA", "x")
	future := h.altered(h.sendTimed("T", "U1"), func(a *delay.Handle) { a.Waiting = event.Position(1 << 40) })
	var recalls []<-chan *remoting.Command
	recaller := h.dial(nil)
	for range 2 * h.broker.config.Limits.Readers {
		recalls = append(recalls, h.begin(recaller, remoting.RequestRecallMessage, recallFields("T", future), nil))
	}
	h.want(h.pull(pullFields(0, 0)), remoting.ResponseSuccess)
	for _, r := range recalls {
		select {
		case answer := <-r:
			t.Fatalf("a pull had to wait until a recall was answered with code %d: %s", answer.Code, answer.Remark)
		default:
		}
	}
	recaller.Close()
	h.answered(func() bool { return h.server.Connections() == 1 }) // so that the end doesn't wait for answers to it
}

func TestRecallsCanBeForbidden(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.want(h.call(remoting.RequestRecallMessage, recallFields("T", h.sendTimed("T", "U1")), nil), remoting.ResponseNoPermission)
}
