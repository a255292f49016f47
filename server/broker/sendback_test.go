package broker

import (
	"strconv"
	"testing"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
)

// backFields are the header of a CONSUMER_SEND_MSG_BACK.
func backFields(position int64, id, level string) fields {
	return fields{"group": "CG", "offset": strconv.FormatInt(position, 10), "originMsgId": id, "delayLevel": level,
		"originTopic": "T", "unitMode": "false", "maxReconsumeTimes": "16"}
}

// handled sends a message, pulls it and returns it as a consumer has it.
func (h *harness) handled() record.Record {
	h.Helper()
	h.want(h.call(remoting.RequestSendMessageV2, sendFields(0).with("h", "7"), []byte("body")), remoting.ResponseSuccess)
	return h.only("T")
}

// only is the one message in queue 0 of a topic.
func (h *harness) only(topic string) record.Record {
	h.Helper()
	records := h.decodeAll(h.want(h.pull(pullFields(0, 0).with("topic", topic)), remoting.ResponseSuccess).Body)
	if len(records) != 1 {
		h.Fatalf("%d messages in %s, want 1", len(records), topic)
	}
	return records[0]
}

func TestAMessageSentBackToTheDeadLettersKeepsWhatItIs(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	m := h.handled()
	before := h.log.proposed()
	h.want(h.call(remoting.RequestConsumerSendMessageBack, backFields(m.Position, "U1", "-1"), nil), remoting.ResponseSuccess)
	if n := h.log.proposed() - before; n != 2 {
		t.Errorf("%d proposals, want one for the topic and one for the message", n)
	}
	h.wantMetrics(`rocketmq_send_to_dlq_messages_total{NODE,consumer_group="CG",topic="T",is_system="false"} 1`,
		`apogee_broker_sent_back_total{to="dead letters"} 1`)
	dead := h.only("%DLQ%CG")
	if string(dead.Body) != "body" || dead.Flag != 7 || dead.ReconsumeTimes != 1 || dead.BornTimestamp != m.BornTimestamp ||
		dead.BornHost != m.BornHost || dead.SystemFlag != m.SystemFlag || string(dead.Topic) != "%DLQ%CG" {
		t.Errorf("sent back %+v, stored %+v", m, dead)
	}
	for name, want := range map[string]string{
		"RETRY_TOPIC": "T", "ORIGIN_MESSAGE_ID": string(record.AppendMessageID(nil, storeHost, m.Position)),
		"UNIQ_KEY": "U1", "TAGS": "TagA", "DELAY": "0", "WAIT": "false", "KEYS": "k1 k2",
	} {
		if got, _ := record.Properties(dead.Properties).Get(name); string(got) != want {
			t.Errorf("property %s is %q, want %q", name, got, want)
		}
	}
	h.want(h.call(remoting.RequestConsumerSendMessageBack, backFields(dead.Position, "", "-1").with("originTopic", "%DLQ%CG"), nil), remoting.ResponseSuccess)
	records := h.decodeAll(h.want(h.pull(pullFields(0, 0).with("topic", "%DLQ%CG")), remoting.ResponseSuccess).Body)
	if origin, _ := record.Properties(records[1].Properties).Get("ORIGIN_MESSAGE_ID"); records[1].ReconsumeTimes != 2 ||
		string(origin) != string(record.AppendMessageID(nil, storeHost, m.Position)) {
		t.Errorf("sent back again: %d tries, first was %s", records[1].ReconsumeTimes, origin)
	}
}

func TestAMessageSentBackWaitsForItsNextTry(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	m := h.handled()
	for level, want := range map[string]uint32{"0": 2, "1": 0, "18": 17, "99": 17} {
		h.want(h.call(remoting.RequestConsumerSendMessageBack, backFields(m.Position, "U1", level), nil), remoting.ResponseSuccess)
		h.log.with(func(l *fakeLog) {
			d := &l.drafts[0]
			payload := make([]byte, d.Payload.PayloadBytes())
			d.Payload.PutPayload(payload)
			r, _, err := record.Decode(payload)
			if err != nil || len(l.drafts) != 1 || d.Kind != event.KindDelayed || d.Queue != want || d.Due == 0 || r.ReconsumeTimes != 1 {
				t.Errorf("level %s: stored %+v, record %+v, %v", level, d, r, err)
			}
			for name, want := range map[string]string{"REAL_TOPIC": "%RETRY%CG", "REAL_QID": "0", "RETRY_TOPIC": "T"} {
				if got, _ := record.Properties(r.Properties).Get(name); string(got) != want {
					t.Errorf("level %s: property %s is %q, want %q", level, name, got, want)
				}
			}
		})
	}
}

func TestAMessageFromTheRetryTopicIsSentBackByItsOriginalTopic(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.createGroup(defaultGroup("CG"))
	h.createTopic(*retryTopic("%RETRY%CG"))
	h.want(h.call(remoting.RequestSendMessageV2, sendFields(0).with("b", "%RETRY%CG").with("i", "UNIQ_KEY\x01U1\x02RETRY_TOPIC\x01T\x02"), []byte("body")), remoting.ResponseSuccess)
	retried := h.only("%RETRY%CG")
	for i, topic := range []string{"T", "%RETRY%CG", ""} {
		back := backFields(retried.Position, "U1", "-1").with("originTopic", topic)
		h.want(h.call(remoting.RequestConsumerSendMessageBack, back, nil), remoting.ResponseSuccess)
		if _, next := h.log.Bounds(event.Queue{Topic: h.topicID("%DLQ%CG")}); next != event.Offset(i+1) {
			t.Errorf("named %q: %d dead letters, want %d", topic, next, i+1)
		}
	}
	h.createGroup(defaultGroup("stranger"))
	h.want(h.call(remoting.RequestConsumerSendMessageBack, backFields(retried.Position, "U1", "-1").with("group", "stranger"), nil), remoting.ResponseSystemError)
}

func TestTriesEndAsTheConsumerOrItsGroupSays(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	m := h.handled()
	settings := defaultGroup("strict")
	settings.RetryMax = 0
	h.createGroup(settings)
	for i, f := range []fields{
		backFields(m.Position, "", "0").with("maxReconsumeTimes", "0"),
		backFields(m.Position, "", "5").with("maxReconsumeTimes", "0"),
		backFields(m.Position, "", "0").with("group", "strict").with("maxReconsumeTimes", "-1"),
	} {
		h.want(h.call(remoting.RequestConsumerSendMessageBack, f, nil), remoting.ResponseSuccess)
		if _, next := h.log.Bounds(event.Queue{Topic: h.topicID("%DLQ%" + f["group"])}); next == 0 {
			t.Errorf("request %d: no dead letter", i)
		}
	}
}

func TestWhatCanNotBeSentBackIsRefused(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *Config) { c.AutoCreateGroup = false })
	m := h.handled()
	none := defaultGroup("none")
	none.RetryQueues = 0
	h.createGroup(none)
	before := h.log.proposed()
	back := backFields(m.Position, "U1", "-1")
	for name, c := range map[string]struct {
		fields fields
		code   int32
	}{
		"a group that isn't there":      {back.with("group", "nobody"), remoting.ResponseGroupNotExist},
		"no position":                   {back.with("offset", "x"), remoting.ResponseInvalidParameter},
		"no delay level":                {back.with("delayLevel", ""), remoting.ResponseInvalidParameter},
		"the middle of a message":       {back.with("offset", strconv.FormatInt(m.Position+1, 10)), remoting.ResponseSystemError},
		"an event that is no message":   {back.with("offset", "0"), remoting.ResponseSystemError},
		"behind the end":                {back.with("offset", "99999999"), remoting.ResponseSystemError},
		"another message":               {back.with("originMsgId", "U2"), remoting.ResponseSystemError},
		"a message of another topic":    {back.with("originTopic", "other"), remoting.ResponseSystemError},
		"as if from the retry topic":    {back.with("originTopic", "%RETRY%CG"), remoting.ResponseSystemError},
		"a group that wants no retries": {back.with("group", "none"), remoting.ResponseSuccess},
	} {
		if got := h.call(remoting.RequestConsumerSendMessageBack, c.fields, nil); got.Code != c.code {
			t.Errorf("%s: code %d with remark %q, want %d", name, got.Code, got.Remark, c.code)
		}
	}
	if n := h.log.proposed(); n != before {
		t.Errorf("%d events for requests without effect", n-before)
	}
	h.createTopic(TopicSettings{Name: "%DLQ%CG", ReadQueues: 1, WriteQueues: 1, Permission: PermissionRead})
	h.want(h.call(remoting.RequestConsumerSendMessageBack, back, nil), remoting.ResponseNoPermission)
}

func TestASentBackMessageWhoseOutcomeIsUnknownIsNotSaidToBeStored(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	m := h.handled()
	h.createTopic(*retryTopic("%DLQ%CG"))
	back := backFields(m.Position, "U1", "-1")
	h.log.with(func(l *fakeLog) { l.outcome = engine.OutcomeUnknown })
	h.want(h.call(remoting.RequestConsumerSendMessageBack, back, nil), remoting.ResponseServiceNotAvailable)
	h.log.with(func(l *fakeLog) { l.refusal = engine.ErrDiskFull })
	h.want(h.call(remoting.RequestConsumerSendMessageBack, back, nil), remoting.ResponseServiceNotAvailable)
	h.log.with(func(l *fakeLog) { l.refusal, l.outcome = nil, engine.OutcomeFlushTimeout })
	h.want(h.call(remoting.RequestConsumerSendMessageBack, back, nil), remoting.ResponseSuccess)
	if n := h.broker.sender.inFlight.Load(); n != 0 {
		t.Errorf("%d sends are in flight", n)
	}
}
