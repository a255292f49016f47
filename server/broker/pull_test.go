package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/server/remoting"
)

func (h *harness) pull(header fields) *remoting.Command {
	h.Helper()
	return h.call(remoting.RequestPullMessage, header, nil)
}

// place is the header of a pull's response: next begin, min and max offset.
func place(cmd *remoting.Command) string {
	return cmd.Text("nextBeginOffset") + " " + cmd.Text("minOffset") + " " + cmd.Text("maxOffset") + " " + cmd.Text("suggestWhichBrokerId")
}

func TestPulledRecordsKnowTheirPlace(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	var ids []string
	for i := range 3 {
		ids = append(ids, h.send(1, "TagA", fmt.Sprint("body", i)).Text("msgId"))
	}
	got := h.want(h.pull(pullFields(1, 0)), remoting.ResponseSuccess)
	if string(got.Remark) != "FOUND" || place(got) != "3 0 3 0" {
		t.Errorf("remark %q, place %s", got.Remark, place(got))
	}
	records := h.decodeAll(got.Body)
	if len(records) != 3 {
		t.Fatalf("%d records, want 3", len(records))
	}
	for i, r := range records {
		if int(r.QueueOffset) != i || r.QueueID != 1 || string(r.Body) != fmt.Sprint("body", i) || r.StoreTimestamp < 1700000000000 {
			t.Errorf("record %d is %+v", i, r)
		}
		if id := fmt.Sprintf("C000020100002A9F%016X", r.Position); id != ids[i] {
			t.Errorf("record %d has id %s, the send was told %s", i, id, ids[i])
		}
	}
}

func TestPullOutsideTheQueueIsAnsweredByRocketMQsStatuses(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	for range 5 {
		h.send(0, "TagA", "x")
	}
	h.log.with(func(l *fakeLog) { l.first[event.Queue{Topic: h.topicID("T")}] = 2 })
	for _, c := range []struct {
		queue  int
		offset int64
		code   int32
		remark string
		place  string
	}{
		{0, 1, remoting.ResponsePullOffsetMoved, "OFFSET_TOO_SMALL", "2 2 5 0"},
		{0, 5, remoting.ResponsePullNotFound, "OFFSET_OVERFLOW_ONE", "5 2 5 0"},
		{0, 6, remoting.ResponsePullOffsetMoved, "OFFSET_OVERFLOW_BADLY", "5 2 5 0"},
		{3, 0, remoting.ResponsePullNotFound, "NO_MESSAGE_IN_QUEUE", "0 0 0 0"},
		{3, 4, remoting.ResponsePullOffsetMoved, "NO_MESSAGE_IN_QUEUE", "0 0 0 0"},
	} {
		got := h.pull(pullFields(c.queue, c.offset))
		if got.Code != c.code || string(got.Remark) != c.remark || place(got) != c.place {
			t.Errorf("queue %d at %d: code %d, remark %s, place %s; want %d, %s, %s",
				c.queue, c.offset, got.Code, got.Remark, place(got), c.code, c.remark, c.place)
		}
	}
}

func TestAFollowerThatHasLessThanAConsumerHasSeenKeepsItWaiting(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.send(0, "TagA", "x")
	h.broker.Follow(2)
	for _, c := range []struct {
		queue, offset int
		place         string
	}{{0, 2, "2 0 1 2"}, {3, 4, "4 0 0 2"}} {
		if got := h.pull(pullFields(c.queue, int64(c.offset))); got.Code != remoting.ResponsePullNotFound || place(got) != c.place {
			t.Errorf("queue %d at %d: code %d, place %s; want %s", c.queue, c.offset, got.Code, place(got), c.place)
		}
	}
	held := h.begin(h.client, remoting.RequestPullMessage, waiting(0, 2), nil)
	h.held(1)
	h.send(0, "TagA", "y")
	h.send(0, "TagA", "z")
	if got := h.want(receive(t, held), remoting.ResponseSuccess); place(got) != "3 0 3 2" {
		t.Errorf("when it has come: place %s", place(got))
	}
	h.broker.Lead()
	if got := h.pull(pullFields(0, 4)); got.Code != remoting.ResponsePullOffsetMoved || place(got) != "3 0 3 0" {
		t.Errorf("a leader: code %d, place %s", got.Code, place(got))
	}
}

func TestPullChoosesByTagsAndGoesOnAfterWhatDoesNotMatch(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	for _, tag := range []string{"TagA", "TagB", "TagA", "TagC", "TagB"} {
		h.send(0, tag, tag)
	}
	got := h.want(h.pull(pullFields(0, 0).with("subscription", "TagA || TagC ||")), remoting.ResponseSuccess)
	var bodies []string
	for _, r := range h.decodeAll(got.Body) {
		bodies = append(bodies, string(r.Body))
	}
	if diff := cmp.Diff([]string{"TagA", "TagA", "TagC"}, bodies); diff != "" || place(got) != "5 0 5 0" {
		t.Errorf("place %s, bodies (-want +got):\n%s", place(got), diff)
	}
	got = h.want(h.pull(pullFields(0, 0).with("subscription", "TagX")), remoting.ResponsePullRetryImmediately)
	if string(got.Remark) != "NO_MATCHED_MESSAGE" || place(got) != "5 0 5 0" {
		t.Errorf("remark %s, place %s", got.Remark, place(got))
	}
}

func TestPullIsBoundedByCountBytesAndScan(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	for range 40 {
		h.send(0, "TagA", "x")
	}
	if n := len(h.decodeAll(h.pull(pullFields(0, 0).with("maxMsgNums", "1000")).Body)); n != 32 {
		t.Errorf("%d records, want the 32 that RocketMQ gives at most", n)
	}
	if n := len(h.decodeAll(h.pull(pullFields(0, 0).with("maxMsgNums", "7")).Body)); n != 7 {
		t.Errorf("%d records, want 7", n)
	}
	for range 4 {
		h.send(1, "TagA", strings.Repeat("x", 100<<10))
	}
	if n := len(h.decodeAll(h.pull(pullFields(1, 0)).Body)); n != 2 {
		t.Errorf("%d records of 100 KiB, want the 2 that fit into 256 KiB", n)
	}
	h.send(2, "TagA", strings.Repeat("x", 1<<20))
	if n := len(h.decodeAll(h.pull(pullFields(2, 0)).Body)); n != 1 {
		t.Errorf("%d records of 1 MiB, want the first one whatever its size", n)
	}
	h.want(h.call(remoting.RequestSendBatchMessage, sendFields(3).with("m", "true"), batchBody(make1000()...)), remoting.ResponseSuccess)
	if got := h.pull(pullFields(3, 0).with("subscription", "TagX")); got.Code != remoting.ResponsePullRetryImmediately || place(got) != "800 0 1000 0" {
		t.Errorf("code %d, place %s: want to go on after 800 entries", got.Code, place(got))
	}
}

func make1000() []string {
	bodies := make([]string, 1000)
	for i := range bodies {
		bodies[i] = "x"
	}
	return bodies
}

func TestIllegalPullsAreRefusedInRocketMQsOrder(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.createTopic(TopicSettings{Name: "S", ReadQueues: 1, WriteQueues: 1, Permission: PermissionRead})
	h.createTopic(TopicSettings{Name: "WriteOnly", ReadQueues: 1, WriteQueues: 1, Permission: PermissionWrite})
	h.heartbeat(h.client, "c1", "CG", map[string]string{"T": "TagA", "S": "sql ="})
	f := pullFields(0, 0)
	for name, c := range map[string]struct {
		header fields
		code   int32
	}{
		"no group":             {f.with("consumerGroup", ""), remoting.ResponseGroupNotExist},
		"offset not a number":  {f.with("queueOffset", "x"), remoting.ResponseInvalidParameter},
		"nothing":              {fields{}, remoting.ResponseInvalidParameter},
		"illegal group":        {f.with("consumerGroup", "a b"), remoting.ResponseGroupNotExist},
		"unknown topic":        {f.with("topic", "U"), remoting.ResponseTopicNotExist},
		"topic not readable":   {f.with("topic", "WriteOnly"), remoting.ResponseNoPermission},
		"negative queue":       {f.with("queueId", "-1"), remoting.ResponseInvalidParameter},
		"unknown queue":        {f.with("queueId", "4"), remoting.ResponseInvalidParameter},
		"no tags":              {f.with("subscription", "||"), remoting.ResponseSubscriptionParseFailed},
		"XPATH":                {f.with("expressionType", "XPATH"), remoting.ResponseSystemError},
		"wrong SQL":            {f.with("expressionType", "SQL92").with("subscription", "a ="), remoting.ResponseSubscriptionParseFailed},
		"wrong SQL told":       {f.with("sysFlag", "0").with("topic", "S"), remoting.ResponseFilterDataNotExist},
		"group offline":        {f.with("sysFlag", "0").with("consumerGroup", "Other"), remoting.ResponseSubscriptionNotExist},
		"not subscribed":       {f.with("sysFlag", "0").with("topic", "TBW102"), remoting.ResponseSubscriptionNotExist},
		"subscription too old": {f.with("sysFlag", "0").with("subVersion", "99"), remoting.ResponseSubscriptionNotLatest},
	} {
		if got := h.pull(c.header); got.Code != c.code {
			t.Errorf("%s: code %d with remark %q, want %d", name, got.Code, got.Remark, c.code)
		}
	}
	if got := h.pull(f.with("topic", "WriteOnly")); got.Text("forbiddenType") != "3" {
		t.Errorf("forbiddenType %q, want 3", got.Text("forbiddenType"))
	}
}

func TestBrokerWithoutReadPermissionRefusesPulls(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *Config) { c.Permission = PermissionWrite })
	if got := h.pull(pullFields(0, 0)); got.Code != remoting.ResponseNoPermission || got.Text("forbiddenType") != "1" {
		t.Errorf("code %d, forbiddenType %q", got.Code, got.Text("forbiddenType"))
	}
}

func TestFailedReadIsAnsweredAsASystemError(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.send(0, "TagA", "x")
	h.log.with(func(l *fakeLog) { l.readError = errors.New("input/output error") })
	h.want(h.pull(pullFields(0, 0)), remoting.ResponseSystemError)
}

func TestSubscriptionOfTheHeartbeatFilters(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.send(0, "TagB", "no")
	h.send(0, "TagA", "yes")
	h.heartbeat(h.client, "c1", "CG", map[string]string{"T": "TagA"})
	got := h.want(h.pull(pullFields(0, 0).with("sysFlag", "0").with("subVersion", "1")), remoting.ResponseSuccess)
	if records := h.decodeAll(got.Body); len(records) != 1 || string(records[0].Body) != "yes" {
		t.Errorf("records %+v", records)
	}
}

func TestAConsumerThatPullsWithANewerSubscriptionIsAskedForIt(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.send(0, "TagA", "x")
	beat := func(more string) string {
		body := `{"clientID":"c1","heartbeatFingerprint":7,` + more + `}`
		return h.want(h.call(remoting.RequestHeartBeat, nil, []byte(body)), remoting.ResponseSuccess).Text("IS_SUB_CHANGE")
	}
	told := func(version string) string {
		return `"consumerDataSet":[{"groupName":"CG","subscriptionDataSet":[{"topic":"T","subString":"*","subVersion":` + version + `}]}]`
	}
	const short = `"withoutSub":true,"consumerDataSet":[{"groupName":"CG"}]`
	pull := pullFields(0, 0).with("sysFlag", "0").with("subVersion", "2")
	if beat(told("1")) != "false" || beat(short) != "false" {
		t.Error("a consumer that has told everything is asked for it")
	}
	h.want(h.pull(pull), remoting.ResponseSubscriptionNotLatest)
	if beat(short) != "true" {
		t.Error("a consumer with a newer subscription is not asked for it")
	}
	if beat(told("2")) != "false" || beat(short) != "false" {
		t.Error("a consumer that has told its newer subscription is asked again")
	}
	h.want(h.pull(pull), remoting.ResponseSuccess)
}

// held waits until so many pulls are held.
func (h *harness) held(count int) {
	h.Helper()
	for deadline := time.Now().Add(patience); h.broker.holds.held() != count; {
		if time.Now().After(deadline) {
			h.Fatalf("%d pulls are held, want %d", h.broker.holds.held(), count)
		}
		h.call(remoting.RequestGetMaxOffset, fields{"topic": "T", "queueId": "0"}, nil) // lets others run
	}
}

func waiting(queueID int, offset int64) fields {
	return pullFields(queueID, offset).with("sysFlag", "6")
}

func TestPullReturnsAtOnceWhenAMessageArrives(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	response := h.begin(h.client, remoting.RequestPullMessage, waiting(0, 0), nil)
	other := h.begin(h.client, remoting.RequestPullMessage, waiting(1, 0), nil)
	h.held(2)
	h.send(0, "TagA", "hello")
	got := h.want(receive(t, response), remoting.ResponseSuccess)
	if records := h.decodeAll(got.Body); len(records) != 1 || string(records[0].Body) != "hello" {
		t.Errorf("records %+v", records)
	}
	h.held(1)
	h.send(1, "TagA", "world")
	h.want(receive(t, other), remoting.ResponseSuccess)
}

func TestArrivalBetweenLookingAndHoldingIsNotLost(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	sender := h.dial(nil)
	h.log.with(func(l *fakeLog) {
		l.onBounds = func() {
			f := sendFields(0).with("i", "")
			h.want(h.callAs(sender, remoting.RequestSendMessageV2, f, []byte("just now")), remoting.ResponseSuccess)
		}
	})
	h.want(receive(t, h.begin(h.client, remoting.RequestPullMessage, waiting(0, 0), nil)), remoting.ResponseSuccess)
}

func TestArrivalThatDoesNotMatchLeavesThePullHeld(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	response := h.begin(h.client, remoting.RequestPullMessage, waiting(0, 0).with("subscription", "TagA"), nil)
	h.held(1)
	for range 3 {
		h.send(0, "TagB", "no")
	}
	h.held(1)
	h.send(0, "TagA", "yes")
	got := h.want(receive(t, response), remoting.ResponseSuccess)
	if records := h.decodeAll(got.Body); len(records) != 1 || place(got) != "4 0 4 0" {
		t.Errorf("%d records, place %s", len(records), place(got))
	}
}

func TestExpiredPullGoesOnAfterWhatDidNotMatch(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	short := waiting(0, 0).with("suspendTimeoutMillis", "1")
	got := h.want(receive(t, h.begin(h.client, remoting.RequestPullMessage, short, nil)), remoting.ResponsePullNotFound)
	if place(got) != "0 0 0 0" {
		t.Errorf("place %s", place(got))
	}
	response := h.begin(h.client, remoting.RequestPullMessage, waiting(0, 0).with("subscription", "TagA"), nil)
	h.held(1)
	h.send(0, "TagB", "no")
	h.held(1)
	h.broker.ReleasePulls()
	got = h.want(receive(t, response), remoting.ResponsePullRetryImmediately)
	if place(got) != "1 0 1 0" {
		t.Errorf("place %s, want to go on at 1", place(got))
	}
	h.want(h.pull(waiting(1, 0)), remoting.ResponsePullNotFound) // none is held any more
}

func TestClosedConnectionDropsItsHolds(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	doomed := h.dial(nil)
	for queue := range 3 {
		h.begin(doomed, remoting.RequestPullMessage, waiting(queue, 0), nil)
	}
	kept := h.begin(h.client, remoting.RequestPullMessage, waiting(1, 0), nil)
	h.held(4)
	doomed.Close()
	h.held(1)
	h.send(1, "TagA", "x")
	h.want(receive(t, kept), remoting.ResponseSuccess)
}

func TestPullsOverTheLimitAreNotHeld(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *Config) { c.Limits.HeldPulls = 1 })
	kept := h.begin(h.client, remoting.RequestPullMessage, waiting(0, 0), nil)
	h.held(1)
	h.want(h.pull(waiting(1, 0)), remoting.ResponseSystemBusy)
	h.send(0, "TagA", "x")
	h.want(receive(t, kept), remoting.ResponseSuccess)
}

func TestPullsOverTheLimitOfWaitingReadsAreSlowedDown(t *testing.T) {
	t.Parallel()
	p := newReadPool(&Config{Limits: Limits{WaitingReads: 100}}, nil)
	for i := range 100 {
		if !p.submit(readFunction(nil)) {
			t.Fatalf("read %d was refused, 100 may wait", i)
		}
	}
	if p.submit(readFunction(nil)) {
		t.Error("read 101 was taken, 100 may wait")
	}
	for range 1000 {
		p.resume(readFunction(nil))
	}
	if n := p.waiting(); n != 1100 {
		t.Errorf("%d reads wait, want 1100: held pulls are never refused", n)
	}
}

func TestReadsAreServedInTheirOrderWhileTheRingGrows(t *testing.T) {
	t.Parallel()
	m := newBrokerMetrics(&Config{})
	p := newReadPool(&Config{Limits: Limits{WaitingReads: 1 << 20, ReplyBufferBytes: 1}}, m)
	var served []int
	add := func(n int) { p.submit(readFunction(func(*reader) { served = append(served, n) })) }
	for i := range 50 {
		add(i)
	}
	done := make(chan struct{})
	p.submit(readFunction(func(*reader) {
		for i := 50; i < 500; i++ {
			add(i) // the ring grows with its start inside
		}
		p.close()
	}))
	go func() { p.run(); close(done) }()
	receive(t, done)
	for i := range served {
		if served[i] != i {
			t.Fatalf("read %d was served as number %d", served[i], i)
		}
	}
	if len(served) != 500 {
		t.Errorf("%d reads were served, want 500", len(served))
	}
}

func TestPullCommitsTheOffsetThatComesWithIt(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.send(0, "TagA", "x")
	h.want(h.pull(pullFields(0, 0).with("sysFlag", "5").with("commitOffset", "1")), remoting.ResponseSuccess)
	got := h.want(h.call(remoting.RequestQueryConsumerOffset, offsetFields(0), nil), remoting.ResponseSuccess)
	if got.Text("offset") != "1" {
		t.Errorf("offset %s, want 1", got.Text("offset"))
	}
}

// heartbeat registers a consumer with tag expressions by topic; those that
// begin with "sql" are SQL92.
func (h *harness) heartbeat(c *remoting.Client, clientID, group string, topics map[string]string) *remoting.Command {
	h.Helper()
	return h.want(h.callAs(c, remoting.RequestHeartBeat, nil, heartbeatBody(clientID, group, topics)), remoting.ResponseSuccess)
}

func heartbeatBody(clientID, group string, topics map[string]string) []byte {
	data := heartbeatData{ClientID: clientID, Consumers: []consumerData{{Group: group, Model: "CLUSTERING"}}}
	for topic, expression := range topics {
		s := subscriptionData{Topic: topic, Expression: expression, Kind: "TAG", Version: 1}
		switch {
		case strings.HasPrefix(expression, "sql"):
			s.Kind = expressionSQL
		case expression != "*":
			s.Tags = []string{expression}
		}
		data.Consumers[0].Subscriptions = append(data.Consumers[0].Subscriptions, s)
	}
	body, err := json.Marshal(data)
	if err != nil {
		panic(err)
	}
	return body
}
