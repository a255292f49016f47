package broker

import (
	"encoding/json"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/apogeemq/apogee/engine/projection/group"
	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
)

func (h *harness) members(group string) []string {
	h.Helper()
	cmd := h.call(remoting.RequestGetConsumerListByGroup, fields{"consumerGroup": group}, nil)
	if cmd.Code == remoting.ResponseSystemError {
		return nil
	}
	h.want(cmd, remoting.ResponseSuccess)
	var body struct{ ConsumerIDList []string }
	if err := json.Unmarshal(cmd.Body, &body); err != nil {
		h.Fatal(err)
	}
	return body.ConsumerIDList
}

// notices is a client's handler; it gets the groups it is told about.
type notices chan string

func (n notices) Handle(_ remoting.ReplyTo, cmd *remoting.Command) {
	if cmd.Code == remoting.RequestNotifyConsumerIDsChanged {
		n <- cmd.Text("consumerGroup")
	}
}

func (n notices) Closed(*remoting.Conn) {}

func TestMembersOfAGroupAreListedAndToldOfChanges(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	told := make(notices, 100)
	one, two := h.dial(told), h.dial(nil)
	h.heartbeat(one, "c1", "CG", map[string]string{"T": "*"})
	if group := receive(t, told); group != "CG" {
		t.Errorf("told about %q", group)
	}
	h.heartbeat(two, "c2", "CG", map[string]string{"T": "*"})
	receive(t, told)
	if diff := cmp.Diff([]string{"c1", "c2"}, h.members("CG")); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
	h.heartbeat(two, "c2", "CG", map[string]string{"T": "*"}) // changes nothing
	two.Close()
	receive(t, told)
	if diff := cmp.Diff([]string{"c1"}, h.members("CG")); diff != "" {
		t.Errorf("members after a connection was lost (-want +got):\n%s", diff)
	}
	h.want(h.callAs(one, remoting.RequestUnregisterClient, fields{"clientID": "c1", "consumerGroup": "CG"}, nil), remoting.ResponseSuccess)
	if members := h.members("CG"); members != nil {
		t.Errorf("members %v after all have left", members)
	}
	if len(told) != 0 {
		t.Errorf("told %d times too often", len(told))
	}
}

func TestBroadcastingGroupIsNotTold(t *testing.T) {
	t.Parallel()
	c := testConfig()
	clients := newClients(&c, group.New(), nil)
	h := &heartbeatData{ClientID: "c1", Consumers: []consumerData{{Group: "CG", Model: "BROADCASTING"}}}
	if _, err := clients.register(new(remoting.Conn), h); err != nil {
		t.Fatal(err)
	}
	if n := clients.takeNotices(); len(n) != 0 {
		t.Errorf("%d notices, want none", len(n))
	}
}

func TestSubscriptionsFollowTheHeartbeats(t *testing.T) {
	t.Parallel()
	c := testConfig()
	clients := newClients(&c, group.New(), nil)
	conn := new(remoting.Conn)
	beat := func(version int64, topics ...string) (changed bool) {
		d := consumerData{Group: "CG", Model: "CLUSTERING"}
		for _, topic := range topics {
			name, expression, _ := strings.Cut(topic, "=")
			d.Subscriptions = append(d.Subscriptions, subscriptionData{Topic: name, Expression: expression, Tags: []string{expression}, Version: version})
		}
		if _, err := clients.register(conn, &heartbeatData{ClientID: "c1", Consumers: []consumerData{d}}); err != nil {
			t.Fatal(err)
		}
		return len(clients.takeNotices()) > 0
	}
	version := func(topic string) int64 {
		s, err := clients.subscription([]byte("CG"), []byte(topic))
		if err != nil {
			return -1
		}
		return s.version
	}
	for i, step := range []struct {
		version int64
		topics  []string
		changed bool
		a, b    int64
	}{
		{1, []string{"A=x"}, true, 1, -1},
		{2, []string{"A=y"}, false, 2, -1},
		{1, []string{"A=x"}, false, 2, -1}, // an older one doesn't replace it
		{3, []string{"A=x", "B=x"}, true, 3, 3},
		{3, []string{"B=x"}, true, -1, 3},
	} {
		if changed := beat(step.version, step.topics...); changed != step.changed {
			t.Errorf("step %d: members told: %t, want %t", i, changed, step.changed)
		}
		if version("A") != step.a || version("B") != step.b {
			t.Errorf("step %d: versions %d and %d, want %d and %d", i, version("A"), version("B"), step.a, step.b)
		}
	}
}

func TestHeartbeatWithoutSubscriptionsKeepsThem(t *testing.T) {
	t.Parallel()
	c := testConfig()
	clients := newClients(&c, group.New(), nil)
	first, second := new(remoting.Conn), new(remoting.Conn)
	full := func(fingerprint int32) *heartbeatData {
		return &heartbeatData{ClientID: "c", Fingerprint: fingerprint, Consumers: []consumerData{{Group: "CG",
			Subscriptions: []subscriptionData{{Topic: "T", Expression: "*", Version: 1}}}}}
	}
	short := func(fingerprint int32) *heartbeatData {
		return &heartbeatData{ClientID: "c", Fingerprint: fingerprint, WithoutSubscriptions: true, Consumers: []consumerData{{Group: "CG"}}}
	}
	register := func(conn *remoting.Conn, h *heartbeatData) bool {
		wantsAll, err := clients.register(conn, h)
		if err != nil {
			t.Fatal(err)
		}
		return wantsAll
	}
	if !register(first, short(7)) {
		t.Error("a broker that knows no subscriptions must ask for them")
	}
	if register(first, full(7)) || register(first, short(7)) {
		t.Error("all members agree and are asked for their subscriptions")
	}
	if _, err := clients.subscription([]byte("CG"), []byte("T")); err != nil {
		t.Errorf("the subscription is gone: %v", err)
	}
	register(second, full(8))
	if !register(first, short(7)) {
		t.Error("members disagree and are not asked for their subscriptions")
	}
	register(first, full(7))
	register(second, full(7))
	clients.outdated(second)
	if register(first, short(7)) || !register(second, short(7)) || register(second, full(7)) || register(second, short(7)) {
		t.Error("who has told old subscriptions, and nobody else, is to be asked for them until they come")
	}
	if !register(first, full(0)) {
		t.Error("a heartbeat of version 1 is always answered with IS_SUB_CHANGE=true")
	}
}

func TestFilterTakesCodesOfAllClients(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]filter{
		`{"subString":"*","codeSet":[],"tagsSet":[]}`:                   {all: true},
		`{"subString":"TagA","codeSet":[2598919],"tagsSet":["TagA"]}`:   {codes: []int32{2598919}},
		`{"subString":"Ä","codeSet":["5861"],"tagsSet":["Ä"]}`:          {codes: []int32{196, 5861}}, // Go's client hashes bytes
		`{"subString":"x","classFilterMode":true}`:                      {all: true},
		`{"subString":"TagA","codeSet":null,"tagsSet":["TagA","TagB"]}`: {codes: []int32{2598919, 2598920}},
	} {
		var d subscriptionData
		if err := json.Unmarshal([]byte(body), &d); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, d.subscription().filter, cmp.AllowUnexported(filter{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	}
}

func TestAFilterOfVeryManyTagsMatchesEach(t *testing.T) {
	t.Parallel()
	d := subscriptionData{Expression: "many"}
	for i := range 200_000 {
		d.Tags = append(d.Tags, "tag"+strconv.Itoa(i))
		d.Codes = append(d.Codes, tagCode(-i))
	}
	f := d.subscription().filter
	for i, tag := range d.Tags {
		if !f.matches(record.TagCode([]byte(tag))) || !f.matches(int32(-i)) {
			t.Fatalf("%s or code %d is not taken", tag, -i)
		}
	}
	if f.matches(record.TagCode([]byte("another"))) {
		t.Error("a tag that nobody asked for is taken")
	}
}

func TestHeartbeatCreatesTheRetryTopic(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	for len(h.broker.TopicsChanged()) > 0 {
		<-h.broker.TopicsChanged()
	}
	got := h.heartbeat(h.client, "c1", "CG", map[string]string{"T": "*"})
	if got.Text("IS_SUPPORT_HEART_BEAT_V2") != "true" || got.Text("IS_SUB_CHANGE") != "true" || got.Version != remoting.Version {
		t.Errorf("header %+v, version %d", got.Fields, got.Version)
	}
	receive(t, h.broker.TopicsChanged())
	topic, found := h.log.topics.Get("%RETRY%CG")
	if !found || topic.Config.ReadQueues != 1 || permissionOf(topic.Config.Attributes) != PermissionRead|PermissionWrite {
		t.Errorf("retry topic is %+v", topic)
	}
}

func TestIllegalHeartbeatsAreRefused(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *Config) { c.Limits.HeartbeatBytes, c.Limits.GroupsPerClient = 1000, 2 })
	for name, c := range map[string]struct {
		body string
		code int32
	}{
		"no JSON":         {`{`, remoting.ResponseInvalidParameter},
		"no client id":    {`{}`, remoting.ResponseInvalidParameter},
		"too long":        {`{"clientID":"` + strings.Repeat("x", 1000) + `"}`, remoting.ResponseInvalidParameter},
		"too many groups": {`{"clientID":"c","producerDataSet":[{"groupName":"a"},{"groupName":"b"},{"groupName":"c"}]}`, remoting.ResponseSystemBusy},
		"illegal groups":  {`{"clientID":"c","producerDataSet":[{"groupName":""},{"groupName":" "},{"groupName":"ä"}]}`, remoting.ResponseSuccess},
	} {
		if got := h.call(remoting.RequestHeartBeat, nil, []byte(c.body)); got.Code != c.code {
			t.Errorf("%s: code %d with remark %q, want %d", name, got.Code, got.Remark, c.code)
		}
	}
}

func TestClientWithoutHeartbeatIsCutOff(t *testing.T) {
	t.Parallel()
	var offset atomic.Int64
	h := start(t, func(c *Config) {
		c.Clock = func() time.Time { return time.Now().Add(time.Duration(offset.Load())) }
		c.Limits.ClientSweep = time.Millisecond
	})
	doomed := h.dial(nil)
	h.heartbeat(doomed, "c1", "CG", map[string]string{"T": "*"})
	offset.Store(int64(119 * time.Second))
	h.heartbeat(h.client, "c2", "CG", map[string]string{"T": "*"})
	if diff := cmp.Diff([]string{"c1", "c2"}, h.members("CG")); diff != "" {
		t.Errorf("members before the time is up (-want +got):\n%s", diff)
	}
	offset.Store(int64(121 * time.Second))
	receive(t, doomed.Done())
	if diff := cmp.Diff([]string{"c2"}, h.members("CG")); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
}

func (h *harness) lock(code int32, client string, queues ...int32) []int32 {
	h.Helper()
	r := lockRequest{ClientID: client, Group: "CG"}
	for _, id := range queues {
		r.Queues = append(r.Queues, messageQueue{BrokerName: "broker-a", QueueID: id, Topic: "T"})
	}
	body, err := json.Marshal(r)
	if err != nil {
		h.Fatal(err)
	}
	cmd := h.want(h.call(code, nil, body), remoting.ResponseSuccess)
	if code == remoting.RequestUnlockBatchMQ {
		return nil
	}
	var got struct{ LockOKMQSet []messageQueue }
	if err := json.Unmarshal(cmd.Body, &got); err != nil {
		h.Fatal(err)
	}
	locked := []int32{}
	for _, q := range got.LockOKMQSet {
		if q.BrokerName != "broker-a" || q.Topic != "T" {
			h.Errorf("locked queue %+v", q)
		}
		locked = append(locked, q.QueueID)
	}
	return locked
}

func TestQueueBelongsToOneClientUntilItsLeaseEnds(t *testing.T) {
	t.Parallel()
	var offset atomic.Int64
	h := start(t, func(c *Config) {
		c.Clock = func() time.Time { return time.UnixMilli(1700000000000 + offset.Load()) }
		c.Limits.QueueLocks = 3
	})
	for i, step := range []struct {
		code   int32
		client string
		queues []int32
		want   []int32
		at     time.Duration
	}{
		{remoting.RequestLockBatchMQ, "c1", []int32{0, 1}, []int32{0, 1}, 0},
		{remoting.RequestLockBatchMQ, "c2", []int32{1, 2}, []int32{2}, 0},
		{remoting.RequestLockBatchMQ, "c1", []int32{0, 3}, []int32{0}, 30 * time.Second}, // renewed; no fourth lease
		{remoting.RequestUnlockBatchMQ, "c2", []int32{0}, nil, 30 * time.Second},         // not its own
		{remoting.RequestLockBatchMQ, "c2", []int32{0, 1}, []int32{1}, 61 * time.Second},
		{remoting.RequestUnlockBatchMQ, "c1", []int32{0}, nil, 61 * time.Second},
		{remoting.RequestLockBatchMQ, "c2", []int32{0}, []int32{0}, 61 * time.Second},
	} {
		offset.Store(step.at.Milliseconds())
		if diff := cmp.Diff(step.want, h.lock(step.code, step.client, step.queues...)); diff != "" {
			t.Errorf("step %d: locked (-want +got):\n%s", i, diff)
		}
	}
	if !h.broker.locks.held("CG") {
		t.Error("the group has locks and is said to have none")
	}
	offset.Store(time.Hour.Milliseconds())
	if h.broker.locks.held("CG") {
		t.Error("the leases have ended and are said to hold")
	}
	h.broker.locks.sweep()
	if h.broker.locks.counted() != 0 || len(h.broker.locks.groups) != 0 {
		t.Errorf("%d leases are left", h.broker.locks.count)
	}
	h.want(h.call(remoting.RequestLockBatchMQ, nil, []byte(`{`)), remoting.ResponseInvalidParameter)
}

func TestHeartbeatsOfAllClientsTogetherAreBounded(t *testing.T) {
	t.Parallel()
	body := heartbeatBody("c1", "CG", map[string]string{"T": "*"})
	h := start(t, func(c *Config) { c.Limits.ClientBytes = 2*len(body) + 1 })
	first := h.dial(nil)
	for range 3 { // the same client again takes no more
		h.want(h.callAs(first, remoting.RequestHeartBeat, nil, body), remoting.ResponseSuccess)
	}
	second := h.dial(nil)
	h.want(h.callAs(second, remoting.RequestHeartBeat, nil, body), remoting.ResponseSuccess)
	third := h.dial(nil)
	h.want(h.callAs(third, remoting.RequestHeartBeat, nil, body), remoting.ResponseSystemBusy)
	h.want(h.callAs(first, remoting.RequestUnregisterClient, fields{"clientID": "c1", "consumerGroup": "CG"}, nil), remoting.ResponseSuccess)
	h.want(h.callAs(third, remoting.RequestHeartBeat, nil, body), remoting.ResponseSuccess)
	second.Close()
	third.Close()
	h.answered(func() bool {
		h.broker.clients.mu.Lock()
		defer h.broker.clients.mu.Unlock()
		return h.broker.clients.bytes == 0 && len(h.broker.clients.sessions) == 0
	})
}
