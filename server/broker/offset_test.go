package broker

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/server/remoting"
)

func offsetFields(queueID int) fields {
	return fields{"consumerGroup": "CG", "topic": "T", "queueId": fmt.Sprint(queueID)}
}

func TestBoundsAndTimesOfQueuesAreAnswered(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	for range 5 {
		h.send(0, "TagA", "x")
	}
	q := event.Queue{Topic: h.topicID("T")}
	h.log.mu.Lock()
	h.log.first[q] = 2
	second := h.log.queues[q][2].timestamp
	h.log.mu.Unlock()
	at := func(n int64) string { return fmt.Sprint(second + n) }
	for _, c := range []struct {
		code   int32
		header fields
		field  string
		want   string
	}{
		{remoting.RequestGetMaxOffset, offsetFields(0), "offset", "5"},
		{remoting.RequestGetMinOffset, offsetFields(0), "offset", "2"},
		{remoting.RequestGetMaxOffset, offsetFields(1), "offset", "0"},
		{remoting.RequestGetMaxOffset, offsetFields(1).with("topic", "U"), "offset", "0"},
		{remoting.RequestGetMinOffset, offsetFields(1).with("topic", "U"), "offset", "0"},
		{remoting.RequestGetEarliestMessageStoreTime, offsetFields(0), "timestamp", at(0)},
		{remoting.RequestGetEarliestMessageStoreTime, offsetFields(1), "timestamp", "-1"},
		{remoting.RequestSearchOffsetByTimestamp, offsetFields(0).with("timestamp", at(1)), "offset", "3"},
		{remoting.RequestSearchOffsetByTimestamp, offsetFields(0).with("timestamp", at(9)), "offset", "5"},
		{remoting.RequestSearchOffsetByTimestamp, offsetFields(0).with("timestamp", at(9)).with("boundaryType", "upper"), "offset", "4"},
		{remoting.RequestSearchOffsetByTimestamp, offsetFields(0).with("topic", "U").with("timestamp", at(1)), "offset", "0"},
	} {
		got := h.want(h.call(c.code, c.header, nil), remoting.ResponseSuccess)
		if got.Text(c.field) != c.want {
			t.Errorf("request %d with %v: %s, want %s", c.code, c.header, got.Text(c.field), c.want)
		}
	}
}

func TestIllegalOffsetRequestsAreRefused(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	commit := offsetFields(0).with("commitOffset", "1")
	for name, c := range map[string]struct {
		request int32
		header  fields
		code    int32
	}{
		"max without topic":    {remoting.RequestGetMaxOffset, fields{"queueId": "0"}, remoting.ResponseInvalidParameter},
		"min without queue":    {remoting.RequestGetMinOffset, fields{"topic": "T"}, remoting.ResponseInvalidParameter},
		"search without time":  {remoting.RequestSearchOffsetByTimestamp, offsetFields(0), remoting.ResponseInvalidParameter},
		"query negative queue": {remoting.RequestQueryConsumerOffset, offsetFields(-1), remoting.ResponseInvalidParameter},
		"query unknown topic":  {remoting.RequestQueryConsumerOffset, offsetFields(0).with("topic", "U"), remoting.ResponseQueryNotFound},
		"commit unknown topic": {remoting.RequestUpdateConsumerOffset, commit.with("topic", "U"), remoting.ResponseTopicNotExist},
		"commit unknown queue": {remoting.RequestUpdateConsumerOffset, commit.with("queueId", "4"), remoting.ResponseInvalidParameter},
		"commit no group":      {remoting.RequestUpdateConsumerOffset, commit.with("consumerGroup", ""), remoting.ResponseGroupNotExist},
		"commit below zero":    {remoting.RequestUpdateConsumerOffset, commit.with("commitOffset", "-1"), remoting.ResponseInvalidParameter},
		"commit nothing":       {remoting.RequestUpdateConsumerOffset, offsetFields(0), remoting.ResponseInvalidParameter},
	} {
		if got := h.call(c.request, c.header, nil); got.Code != c.code {
			t.Errorf("%s: code %d with remark %q, want %d", name, got.Code, got.Remark, c.code)
		}
	}
}

func TestCommitIsAnsweredWhenItIsApplied(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.log.with(func(l *fakeLog) { l.keep = true })
	response := h.begin(h.client, remoting.RequestUpdateConsumerOffset, offsetFields(0).with("commitOffset", "7"), nil)
	h.log.waitKept(1)
	query := h.want(h.call(remoting.RequestQueryConsumerOffset, offsetFields(0), nil), remoting.ResponseSuccess)
	if query.Text("offset") != "7" {
		t.Errorf("a query sees %s, want the offset that is on its way", query.Text("offset"))
	}
	select {
	case <-response:
		t.Fatal("the commit was answered before it was applied")
	default:
	}
	h.log.release()
	h.want(receive(t, response), remoting.ResponseSuccess)
	commit, found := h.log.offsets.Get("CG", event.Queue{Topic: h.topicID("T")})
	if !found || commit.Offset != 7 || commit.Client != h.client.Conn().LocalAddr().String() {
		t.Errorf("applied commit is %+v", commit)
	}
}

func TestCommitThatChangesNothingProposesNothing(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	commit := offsetFields(0).with("commitOffset", "7")
	h.want(h.call(remoting.RequestUpdateConsumerOffset, commit, nil), remoting.ResponseSuccess)
	before := h.log.proposed()
	for range 10 {
		h.want(h.call(remoting.RequestUpdateConsumerOffset, commit, nil), remoting.ResponseSuccess)
	}
	if n := h.log.proposed() - before; n != 0 {
		t.Errorf("%d proposals for an offset that has not changed", n)
	}
	h.want(h.call(remoting.RequestUpdateConsumerOffset, commit.with("commitOffset", "3"), nil), remoting.ResponseSuccess)
	got := h.call(remoting.RequestQueryConsumerOffset, offsetFields(0), nil)
	if got.Text("offset") != "3" {
		t.Errorf("offset %s: going back is allowed", got.Text("offset"))
	}
}

// pass lets time pass in a bubble.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// gatherer runs commits alone in a bubble, where its clock stands until all
// goroutines wait.
func gatherer(t *testing.T, log *fakeLog) *commits {
	c := testConfig()
	c.OffsetCommitInterval = 100 * time.Millisecond
	commits := newCommits(&c, log.dependencies(), newLive(&c), newBrokerMetrics(&c))
	go commits.run(t.Context())
	return commits
}

func TestOffsetsOfOneIntervalAreOneEventWithTheLatestValues(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newFakeLog()
		c := gatherer(t, log)
		for i := range 50 {
			for _, group := range []string{"G1", "G2"} {
				if err := c.gather(commitKey{group, event.Queue{Topic: 1, ID: uint32(i % 2)}}, event.Offset(i), "client"); err != nil {
					t.Fatal(err)
				}
			}
		}
		pass(99 * time.Millisecond)
		if n := log.proposed(); n != 0 {
			t.Errorf("%d proposals before the interval was over", n)
		}
		pass(time.Millisecond)
		if n := log.proposed(); n != 1 {
			t.Errorf("%d proposals, want 1", n)
		}
		got := map[string]event.Offset{}
		for _, group := range log.offsets.Groups() {
			for _, q := range log.offsets.Group(group) {
				got[fmt.Sprint(group, " ", q.Queue.ID)] = q.Offset
			}
		}
		if diff := cmp.Diff(map[string]event.Offset{"G1 0": 48, "G1 1": 49, "G2 0": 48, "G2 1": 49}, got); diff != "" {
			t.Errorf("offsets (-want +got):\n%s", diff)
		}
		pass(time.Hour)
		if n := log.proposed(); n != 1 {
			t.Errorf("%d proposals after an idle hour, want 1", n)
		}
		if err := c.close(); err != nil {
			t.Error(err)
		}
	})
}

func TestClosingStoresTheGatheredOffsets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newFakeLog()
		c := gatherer(t, log)
		key := commitKey{"G", event.Queue{Topic: 1}}
		if err := c.gather(key, 9, "client"); err != nil {
			t.Fatal(err)
		}
		if err := c.close(); err != nil {
			t.Fatal(err)
		}
		if commit, _ := log.offsets.Get("G", key.queue); commit.Offset != 9 {
			t.Errorf("stored offset %d, want 9", commit.Offset)
		}
		if err := c.gather(key, 10, "client"); err == nil {
			t.Error("an offset was taken after closing")
		}
	})
}

func TestBusyLogKeepsOffsetsAndALostLeadershipDropsThem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newFakeLog()
		c := gatherer(t, log)
		key := commitKey{"G", event.Queue{Topic: 1}}
		log.with(func(l *fakeLog) { l.refusal = engine.ErrBusy })
		_ = c.gather(key, 5, "client")
		pass(150 * time.Millisecond)
		if offset, found := c.get(key); !found || offset != 5 {
			t.Errorf("offset %d, found %t: it must be tried again", offset, found)
		}
		log.with(func(l *fakeLog) { l.refusal = nil })
		pass(time.Second)
		if commit, _ := log.offsets.Get("G", key.queue); commit.Offset != 5 {
			t.Errorf("stored offset %d, want 5", commit.Offset)
		}
		log.with(func(l *fakeLog) { l.refusal = engine.ErrNotLeader })
		_ = c.gather(key, 6, "client")
		pass(time.Second)
		log.with(func(l *fakeLog) { l.refusal = nil })
		pass(time.Second)
		if offset, _ := c.get(key); offset != 5 {
			t.Errorf("offset %d: what a node could not store while it was no leader must not come later", offset)
		}
		log.with(func(l *fakeLog) { l.refusal = engine.ErrNotLeader })
		_ = c.gather(key, 7, "client")
		if err := c.close(); err != nil {
			t.Errorf("a node that leads no more doesn't stop in order: %v", err)
		}
	})
}

func TestManyOffsetsAreSharedOutOverSeveralEvents(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		log := newFakeLog()
		c := gatherer(t, log)
		for i := range commitsPerProposal + 1 {
			if err := c.gather(commitKey{"G", event.Queue{Topic: 1, ID: uint32(i)}}, 1, "client"); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.close(); err != nil {
			t.Fatal(err)
		}
		if n := log.proposed(); n != 2 || len(log.offsets.Group("G")) != commitsPerProposal+1 {
			t.Errorf("%d proposals with %d offsets", n, len(log.offsets.Group("G")))
		}
	})
}

func TestOffsetsOverTheLimitAreRefused(t *testing.T) {
	t.Parallel()
	c := testConfig()
	c.Limits.GatheredOffsets = 1
	commits := newCommits(&c, newFakeLog().dependencies(), newLive(&c), newBrokerMetrics(&c))
	first := commitKey{"G", event.Queue{Topic: 1}}
	if err := commits.gather(first, 1, "client"); err != nil {
		t.Fatal(err)
	}
	if err := commits.gather(commitKey{"H", event.Queue{Topic: 1}}, 1, "client"); err == nil {
		t.Error("a second offset was taken, one is allowed")
	}
	if err := commits.gather(first, 2, "client"); err != nil {
		t.Errorf("the offset that is there already can't move on: %v", err)
	}
}

func TestGroupWithoutOffsetStartsAtZeroInAYoungQueue(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *Config) { c.YoungBytes = 4000 })
	query := func(f fields) *remoting.Command { return h.call(remoting.RequestQueryConsumerOffset, f, nil) }
	h.want(query(offsetFields(0)), remoting.ResponseQueryNotFound) // empty queue
	h.send(0, "TagA", "x")
	if got := h.want(query(offsetFields(0)), remoting.ResponseSuccess); got.Text("offset") != "0" {
		t.Errorf("offset %s, want 0", got.Text("offset"))
	}
	h.want(query(offsetFields(0).with("setZeroIfNotFound", "false")), remoting.ResponseQueryNotFound)
	for range 20 {
		h.send(1, "TagA", "some bytes that make message 0 of queue 0 old")
	}
	h.want(query(offsetFields(0)), remoting.ResponseQueryNotFound)
	h.send(2, "TagA", "x")
	h.want(query(offsetFields(2)), remoting.ResponseSuccess) // young in an old log
	h.log.with(func(l *fakeLog) { l.first[event.Queue{Topic: h.topicID("T"), ID: 2}] = 1 })
	h.want(query(offsetFields(2)), remoting.ResponseQueryNotFound) // message 0 is gone
}
