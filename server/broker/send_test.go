package broker

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
)

// longSendFields are sendFields in the style of SEND_MESSAGE.
func longSendFields(short fields) fields {
	names := map[string]string{
		"a": "producerGroup", "b": "topic", "c": "defaultTopic", "d": "defaultTopicQueueNums", "e": "queueId", "f": "sysFlag",
		"g": "bornTimestamp", "h": "flag", "i": "properties", "j": "reconsumeTimes", "k": "unitMode", "l": "maxReconsumeTimes", "m": "batch",
	}
	long := fields{}
	for k, v := range short {
		long[names[k]] = v
	}
	return long
}

func TestSendIsAnsweredWithWhereTheMessageStands(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	for i, c := range []struct {
		code   int32
		header fields
	}{
		{remoting.RequestSendMessageV2, sendFields(3)},
		{remoting.RequestSendMessage, longSendFields(sendFields(3))},
	} {
		got := h.want(h.call(c.code, c.header, []byte("hello")), remoting.ResponseSuccess)
		q := event.Queue{Topic: h.topicID("T"), ID: 3}
		h.log.mu.Lock()
		stored := h.log.queues[q][i]
		h.log.mu.Unlock()
		want := map[string]string{
			"msgId":   string(record.AppendMessageID(nil, storeHost, int64(stored.position))),
			"queueId": "3", "queueOffset": fmt.Sprint(i), "transactionId": "U1", "MSG_REGION": "DefaultRegion", "TRACE_ON": "true",
		}
		for key, value := range want {
			if got.Text(key) != value {
				t.Errorf("code %d: %s is %q, want %q", c.code, key, got.Text(key), value)
			}
		}
	}
}

func (h *harness) topicID(name string) event.TopicID {
	h.Helper()
	topic, found := h.log.topics.Get(name)
	if !found {
		h.Fatalf("there is no topic %s", name)
	}
	return topic.ID
}

func TestStoredMessageHasEnvelopeAndRecord(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	f := sendFields(1).with("f", "1").with("h", "7").with("j", "2").with("i", "KEYS\x01k1  k2\x02TAGS\x01TagA\x02POP_CK\x01old\x02UNIQ_KEY\x01U1")
	h.want(h.call(remoting.RequestSendMessageV2, f, []byte("hello")), remoting.ResponseSuccess)
	id := h.topicID("T")
	h.log.mu.Lock()
	stored := h.log.queues[event.Queue{Topic: id, ID: 1}][0].event
	h.log.mu.Unlock()
	if stored.Kind() != event.KindMessage || stored.Tag() != 2598919 {
		t.Errorf("kind %v, tag code %d", stored.Kind(), stored.Tag())
	}
	var keys []uint64
	for i := range stored.KeyCount() {
		keys = append(keys, stored.Key(i))
	}
	want := []uint64{event.KeyHash(id, []byte("U1")), event.KeyHash(id, []byte("k1")), event.KeyHash(id, []byte("k2"))}
	if diff := cmp.Diff(want, keys); diff != "" {
		t.Errorf("key hashes (-want +got):\n%s", diff)
	}
	r, _, err := record.Decode(stored.Payload())
	if err != nil {
		t.Fatal(err)
	}
	if r.QueueID != 1 || r.SystemFlag != 1 || r.Flag != 7 || r.ReconsumeTimes != 2 || r.BornTimestamp != 1700000000000 ||
		r.StoreHost != storeHost || !r.BornHost.Addr().IsLoopback() || string(r.Body) != "hello" || string(r.Topic) != "T" {
		t.Errorf("record is %+v", r)
	}
	properties := "KEYS\x01k1  k2\x02TAGS\x01TagA\x02UNIQ_KEY\x01U1\x02MSG_REGION\x01DefaultRegion\x02TRACE_ON\x01true\x02CLUSTER\x01DefaultCluster\x02"
	if string(r.Properties) != properties {
		t.Errorf("properties are %q, want %q", r.Properties, properties)
	}
}

func TestMessageWithoutUniqueKeyGetsOne(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	got := h.want(h.call(remoting.RequestSendMessageV2, sendFields(0).with("i", ""), []byte("x")), remoting.ResponseSuccess)
	if key := got.Text("transactionId"); len(key) != 32 || !strings.HasPrefix(key, "C0000201") {
		t.Errorf("unique key is %q, want 32 digits that begin with the broker's address", key)
	}
}

func TestOnlyTheFirstKeysAreIndexed(t *testing.T) {
	t.Parallel()
	words := []byte(strings.Repeat(" k", 3*record.KeysMax))
	if n := len(record.AppendKeyHashes(nil, 1, []byte("U"), words)); n != record.KeysMax+1 {
		t.Errorf("%d hashes, want %d", n, record.KeysMax+1)
	}
}

func TestOutcomeOfTheProposalIsTheStatusOfTheSend(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	for outcome, code := range map[engine.Outcome]int32{
		engine.OutcomeCommitted:      remoting.ResponseSuccess,
		engine.OutcomeFlushTimeout:   remoting.ResponseFlushDiskTimeout,
		engine.OutcomeNoReplica:      remoting.ResponseSlaveNotAvailable,
		engine.OutcomeReplicaTimeout: remoting.ResponseFlushSlaveTimeout,
	} {
		h.log.with(func(l *fakeLog) { l.outcome = outcome })
		got := h.want(h.call(remoting.RequestSendMessageV2, sendFields(0), []byte("x")), code)
		if got.Text("msgId") == "" || got.Text("queueId") == "" || got.Text("queueOffset") == "" {
			t.Errorf("outcome %d: a stored message was answered without its place", outcome)
		}
	}
	h.log.with(func(l *fakeLog) { l.outcome = engine.OutcomeUnknown })
	got := h.want(h.call(remoting.RequestSendMessageV2, sendFields(0), []byte("x")), remoting.ResponseServiceNotAvailable)
	if string(got.Remark) != "outcome unknown, retry" || got.Text("msgId") != "" {
		t.Errorf("remark %q, msgId %q", got.Remark, got.Text("msgId"))
	}
}

func TestRefusedProposalIsAnsweredByItsErrorClass(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	for _, c := range []struct {
		err  error
		code int32
	}{
		{engine.ErrBusy, remoting.ResponseSystemBusy},
		{engine.ErrDiskFull, remoting.ResponseServiceNotAvailable},
		{engine.ErrNotLeader, remoting.ResponseServiceNotAvailable},
		{engine.ErrClosed, remoting.ResponseServiceNotAvailable},
		{engine.ErrTooLarge, remoting.ResponseMessageIllegal},
		{errors.New("something else"), remoting.ResponseSystemError},
	} {
		h.log.with(func(l *fakeLog) { l.refusal = fmt.Errorf("propose: %w", c.err) })
		h.want(h.call(remoting.RequestSendMessageV2, sendFields(0), []byte("x")), c.code)
	}
	if n := h.broker.sender.inFlight.Load(); n != 0 {
		t.Errorf("%d sends are still in flight", n)
	}
	h.log.with(func(l *fakeLog) { l.refusal = nil })
}

func TestIllegalSendsAreRefusedAndStoreNothing(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *Config) { c.MessageBytesMax, c.Limits.BatchMessages = 100, 3 })
	before := h.log.proposed()
	f, batch := sendFields(0), sendFields(0).with("m", "true")
	for name, c := range map[string]struct {
		header fields
		body   string
		code   int32
	}{
		"no topic":           {fields{"a": "PG"}, "x", remoting.ResponseInvalidParameter},
		"queue not a number": {f.with("e", "one"), "x", remoting.ResponseInvalidParameter},
		"queue past 32 bits": {f.with("e", "4294967296"), "x", remoting.ResponseInvalidParameter},
		"blank topic":        {f.with("b", " "), "x", remoting.ResponseInvalidParameter},
		"illegal topic":      {f.with("b", "T+"), "x", remoting.ResponseInvalidParameter},
		"long topic":         {f.with("b", strings.Repeat("t", 128)), "x", remoting.ResponseInvalidParameter},
		"forbidden topic":    {f.with("b", "SCHEDULE_TOPIC_XXXX"), "x", remoting.ResponseNoPermission},
		"unknown topic":      {f.with("b", "U").with("c", "NONE"), "x", remoting.ResponseTopicNotExist},
		"unknown queue":      {f.with("e", "4"), "x", remoting.ResponseInvalidParameter},
		"retry of no group":  {f.with("b", "%RETRY%"), "x", remoting.ResponseGroupNotExist},
		"no body":            {f, "", remoting.ResponseMessageIllegal},
		"large body":         {f, strings.Repeat("x", 101), remoting.ResponseMessageIllegal},
		"large properties":   {f.with("i", "a\x01"+strings.Repeat("x", 32760)), "x", remoting.ResponseMessageIllegal},
		"committed at once":  {f.with("f", "8"), "x", remoting.ResponseMessageIllegal},
		"half batch":         {batch.with("f", "4"), string(batchBody("a")), remoting.ResponseMessageIllegal},
		"delay level":        {f.with("i", "DELAY\x01long\x02"), "x", remoting.ResponseMessageIllegal},
		"delay time":         {f.with("i", "TIMER_DELAY_SEC\x01259201\x02"), "x", remoting.ResponseMessageIllegal},
		"delay marker":       {f.with("i", "TIMER_DELAY_SEC\x011\x02TIMER_DEL_UNIQKEY\x01TU\x02"), "x", remoting.ResponseMessageIllegal},
		"inner batch":        {f.with("i", "INNER_NUM\x012\x02"), "x", remoting.ResponseMessageIllegal},
		"empty batch":        {batch, "", remoting.ResponseMessageIllegal},
		"broken batch":       {batch, string(batchBody("a")[:10]), remoting.ResponseMessageIllegal},
		"batch too long":     {batch, string(batchBody("a", "b", "c", "d")), remoting.ResponseMessageIllegal},
		"batch of retries":   {batch.with("b", "%RETRY%CG"), string(batchBody("a")), remoting.ResponseMessageIllegal},
		"empty batch item":   {batch, string(batchBody("a", "")), remoting.ResponseMessageIllegal},
	} {
		if name == "batch of retries" {
			h.createTopic(*retryTopic("%RETRY%CG"))
			before = h.log.proposed()
		}
		if got := h.call(remoting.RequestSendMessageV2, c.header, []byte(c.body)); got.Code != c.code {
			t.Errorf("%s: code %d with remark %q, want %d", name, got.Code, got.Remark, c.code)
		}
		if n := h.log.proposed(); n != before {
			t.Errorf("%s: something was stored", name)
			before = n
		}
	}
	h.want(h.call(remoting.RequestSendMessageV2, f.with("i", "DELAY\x010\x02"), []byte("x")), remoting.ResponseSuccess)
}

func TestNegativeQueueIsReplacedByOneOfTheWriteQueues(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	seen := map[string]bool{}
	for range 100 {
		got := h.want(h.call(remoting.RequestSendMessageV2, sendFields(-1), []byte("x")), remoting.ResponseSuccess)
		seen[got.Text("queueId")] = true
	}
	if diff := cmp.Diff(map[string]bool{"0": true, "1": true, "2": true, "3": true}, seen); diff != "" {
		t.Errorf("queues used (-want +got):\n%s", diff)
	}
}

func TestBatchIsOneProposalAndItsIdsAreJoined(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	before := h.log.proposed()
	f := sendFields(2).with("m", "true").with("i", "")
	got := h.want(h.call(remoting.RequestSendBatchMessage, f, batchBody("one", "two", "three")), remoting.ResponseSuccess)
	if n := h.log.proposed() - before; n != 1 {
		t.Fatalf("the batch took %d proposals, want 1", n)
	}
	h.log.mu.Lock()
	stored := h.log.queues[event.Queue{Topic: h.topicID("T"), ID: 2}]
	h.log.mu.Unlock()
	var ids []string
	for i, body := range []string{"one", "two", "three"} {
		r, _, err := record.Decode(stored[i].event.Payload())
		if err != nil {
			t.Fatal(err)
		}
		properties := fmt.Sprintf("UNIQ_KEY\x01B%d\x02TAGS\x01TagA\x02", i)
		if string(r.Body) != body || r.Flag != int32(i) || string(r.Properties) != properties || stored[i].event.Tag() != 2598919 {
			t.Errorf("message %d is %+v with tag code %d", i, r, stored[i].event.Tag())
		}
		if stored[i].event.KeyCount() != 1 || stored[i].event.Key(0) != event.KeyHash(h.topicID("T"), fmt.Appendf(nil, "B%d", i)) {
			t.Errorf("message %d has other key hashes than that of its unique key", i)
		}
		ids = append(ids, string(record.AppendMessageID(nil, storeHost, int64(stored[i].position))))
	}
	if got.Text("msgId") != strings.Join(ids, ",") || got.Text("queueOffset") != "0" {
		t.Errorf("msgId %q at offset %s, want %q at 0", got.Text("msgId"), got.Text("queueOffset"), strings.Join(ids, ","))
	}
	if _, given := got.Get("transactionId"); given {
		t.Error("the batch has no unique key, its reply names one")
	}
}

func TestOnewaySendIsStored(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.log.with(func(l *fakeLog) { l.keep = true })
	if err := h.client.Oneway(sendFields(0).request(remoting.RequestSendMessageV2, []byte("x"))); err != nil {
		t.Fatal(err)
	}
	h.log.waitKept(1)
	h.log.release()
	h.send(0, "TagA", "after it")
	if _, next := h.log.Bounds(event.Queue{Topic: h.topicID("T")}); next != 2 {
		t.Errorf("%d messages are stored, want 2", next)
	}
}

func TestRepliesOfManyConnectionsComeInOneRound(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.log.with(func(l *fakeLog) { l.keep = true })
	var responses []<-chan *remoting.Command
	for range 8 {
		c := h.dial(nil)
		for range 8 {
			responses = append(responses, h.begin(c, remoting.RequestSendMessageV2, sendFields(0), []byte("x")))
		}
	}
	h.log.waitKept(len(responses))
	h.log.release()
	offsets := map[string]bool{}
	for _, r := range responses {
		offsets[h.want(receive(t, r), remoting.ResponseSuccess).Text("queueOffset")] = true
	}
	if len(offsets) != len(responses) {
		t.Errorf("%d different offsets for %d messages", len(offsets), len(responses))
	}
}

func TestSendsOverTheLimitAreRefusedAsBusy(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *Config) { c.Limits.SendsInFlight = 2 })
	h.log.with(func(l *fakeLog) { l.keep = true })
	first := h.begin(h.client, remoting.RequestSendMessageV2, sendFields(0), []byte("x"))
	second := h.begin(h.client, remoting.RequestSendMessageV2, sendFields(0), []byte("x"))
	h.want(h.call(remoting.RequestSendMessageV2, sendFields(0), []byte("x")), remoting.ResponseSystemBusy)
	h.log.release()
	h.want(receive(t, first), remoting.ResponseSuccess)
	h.want(receive(t, second), remoting.ResponseSuccess)
	h.send(0, "TagA", "there is room again")
}

func TestTopicIsCreatedAfterItsModelByTheFirstSend(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	before := h.log.proposed()
	const senders = 20
	var wg sync.WaitGroup
	for range senders {
		c := h.dial(nil)
		wg.Go(func() {
			got := h.callAs(c, remoting.RequestSendMessageV2, sendFields(3).with("b", "New"), []byte("x"))
			if got.Code != remoting.ResponseSuccess {
				t.Errorf("code %d, remark %q", got.Code, got.Remark)
			}
		})
	}
	wg.Wait()
	if n := h.log.proposed() - before; n != senders+1 {
		t.Errorf("%d proposals, want one for the topic and %d for messages", n, senders)
	}
	created, _ := h.log.topics.Get("New")
	got := settingsOf(created)
	want := TopicSettings{Name: "New", ReadQueues: 4, WriteQueues: 4, Permission: 6, FilterType: "SINGLE_TAG"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("topic (-want +got):\n%s", diff)
	}
}

func TestTopicIsNotCreatedWhereThatIsSwitchedOff(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *Config) { c.AutoCreateTopic = false })
	h.want(h.call(remoting.RequestSendMessageV2, sendFields(0).with("b", "New"), []byte("x")), remoting.ResponseTopicNotExist)
	got := h.want(h.call(remoting.RequestSendMessageV2, sendFields(0).with("b", "%RETRY%CG"), []byte("x")), remoting.ResponseSuccess)
	if got.Text("queueId") != "0" {
		t.Errorf("queue %s of the retry topic", got.Text("queueId"))
	}
}

func TestFailedCreationAnswersTheSend(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.log.with(func(l *fakeLog) { l.refusal = engine.ErrDiskFull })
	h.want(h.call(remoting.RequestSendMessageV2, sendFields(0).with("b", "New"), []byte("x")), remoting.ResponseServiceNotAvailable)
	h.log.with(func(l *fakeLog) { l.refusal = nil })
	h.want(h.call(remoting.RequestSendMessageV2, sendFields(0).with("b", "New"), []byte("x")), remoting.ResponseSuccess)
}

func TestMessageThatHadItsTriesGoesToTheDeadLetters(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	f := sendFields(0).with("b", "%RETRY%CG").with("j", "3").with("l", "2").with("i", "DELAY\x016\x02")
	got := h.want(h.call(remoting.RequestSendMessageV2, f, []byte("x")), remoting.ResponseSuccess)
	if _, next := h.log.Bounds(event.Queue{Topic: h.topicID("%DLQ%CG")}); next != 1 || got.Text("queueId") != "0" {
		t.Errorf("%d dead letters, queue %s", next, got.Text("queueId"))
	}
	stored := h.decodeAll(h.want(h.pull(pullFields(0, 0).with("topic", "%DLQ%CG")), remoting.ResponseSuccess).Body)
	if level := record.Properties(stored[0].Properties).Known().DelayLevel; string(level) != "0" {
		t.Errorf("delay level %q of the dead letter, want 0", level)
	}
}

func TestSendToAGroupWithLockedQueuesGoesToTheDeadLetters(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.lock(remoting.RequestLockBatchMQ, "client", 0)
	h.want(h.call(remoting.RequestSendMessageV2, sendFields(0).with("b", "%RETRY%CG"), []byte("x")), remoting.ResponseSuccess)
	if _, next := h.log.Bounds(event.Queue{Topic: h.topicID("%DLQ%CG")}); next != 1 {
		t.Errorf("%d dead letters, want 1", next)
	}
}

func TestUnknownRequestIsAnsweredAsRocketMQDoes(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	got := h.want(h.call(9999, nil, nil), remoting.ResponseRequestCodeNotSupported)
	if string(got.Remark) != " request type 9999 not supported" {
		t.Errorf("remark %q", got.Remark)
	}
}

func TestAProducerMayWaitForLess(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	for property, want := range map[string]engine.Wait{
		"": engine.WaitCommitted, "WAIT\x01true\x02": engine.WaitCommitted, "WAIT\x01TRUE\x02": engine.WaitCommitted,
		"WAIT\x01false\x02": engine.WaitWritten, "WAIT\x01no\x02": engine.WaitWritten,
	} {
		for _, batch := range []string{"false", "true"} {
			body := []byte("x")
			if batch == "true" {
				body = batchBody("x", "y")
			}
			h.want(h.call(remoting.RequestSendMessageV2, sendFields(0).with("i", property).with("m", batch), body), remoting.ResponseSuccess)
			h.log.with(func(l *fakeLog) {
				if l.wait != want {
					t.Errorf("properties %q, batch %s: the proposal waits for %d, want %d", property, batch, l.wait, want)
				}
			})
		}
	}
	h.want(h.call(remoting.RequestUpdateConsumerOffset, offsetFields(0).with("commitOffset", "1"), nil), remoting.ResponseSuccess)
	h.log.with(func(l *fakeLog) {
		if l.wait != engine.WaitCommitted {
			t.Error("what is proposed next waits for less, too")
		}
	})
}

func TestMessagesOfAGatheredBatchAreStoredAsIfTheyHadComeAlone(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.want(h.call(remoting.RequestSendMessageV2, sendFields(0).with("g", "41").with("i", "UNIQ_KEY\x01a\x02CLUSTER\x01forged\x02").with("h", "7"), []byte("x")), remoting.ResponseSuccess)
	var body []byte
	for i, born := range []int64{41, 42} {
		body = record.AppendBatch(body, record.BatchItem{Born: born, Flag: 7, Body: []byte("x"),
			Properties: []byte("UNIQ_KEY\x01" + string(rune('a'+i)) + "\x02CLUSTER\x01forged\x02")})
	}
	header := sendFields(0).with("m", "true").with(record.FieldGathered, "true")
	h.want(h.call(remoting.RequestSendBatchMessage, header, body), remoting.ResponseSuccess)
	got := h.decodeAll(h.want(h.pull(pullFields(0, 0)), remoting.ResponseSuccess).Body)
	if len(got) != 3 {
		t.Fatalf("%d messages are there", len(got))
	}
	alone, first, second := got[0], got[1], got[2]
	if string(first.Properties) != string(alone.Properties) || first.BornTimestamp != alone.BornTimestamp || first.Flag != alone.Flag || first.SystemFlag != alone.SystemFlag {
		t.Errorf("alone it is %+v, gathered %+v", alone, first)
	}
	if id, _ := record.Properties(second.Properties).Get("UNIQ_KEY"); string(id) != "b" || second.BornTimestamp != 42 {
		t.Errorf("the second is %+v", second)
	}
	long := record.AppendBatch(nil, record.BatchItem{Body: []byte("x"), Properties: []byte("a\x01" + strings.Repeat("x", record.PropertiesBytesMax-3) + "\x02")})
	h.want(h.call(remoting.RequestSendBatchMessage, header, long), remoting.ResponseMessageIllegal)
}
