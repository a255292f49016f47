package broker

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/server/remoting"
)

// topicFields are the header of UPDATE_AND_CREATE_TOPIC.
func topicFields(name string) fields {
	return fields{"topic": name, "defaultTopic": "TBW102", "readQueueNums": "3", "writeQueueNums": "2", "perm": "6",
		"topicFilterType": "SINGLE_TAG", "topicSysFlag": "0", "order": "false", "attributes": ""}
}

func (h *harness) showTopic(name string) string {
	h.Helper()
	return string(h.want(h.call(remoting.RequestGetTopicConfig, fields{"topic": name, "lo": "true"}, nil), remoting.ResponseSuccess).Body)
}

func TestTopicIsCreatedAndShownAsRocketMQWritesIt(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	header := topicFields("New").with("attributes", "+message.type=FIFO").with("order", "true").with("topicSysFlag", "1")
	h.want(h.call(remoting.RequestUpdateAndCreateTopic, header, nil), remoting.ResponseSuccess)
	want := `{"attributes":{"message.type":"FIFO"},"order":true,"perm":6,"readQueueNums":3,` +
		`"topicFilterType":"SINGLE_TAG","topicName":"New","topicSysFlag":1,"writeQueueNums":2}`
	if diff := cmp.Diff(want, h.showTopic("New")); diff != "" {
		t.Errorf("topic (-want +got):\n%s", diff)
	}
	h.want(h.call(remoting.RequestGetTopicConfig, fields{"topic": "None"}, nil), remoting.ResponseTopicNotExist)
}

func TestUpdatedTopicKeepsItsMessagesAndAttributes(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.want(h.call(remoting.RequestUpdateAndCreateTopic, topicFields("T").with("attributes", "+message.type=FIFO,+reserve.time=60"), nil), remoting.ResponseSuccess)
	h.send(0, "a", "x")
	id, before := h.topicID("T"), h.log.proposed()
	h.want(h.call(remoting.RequestUpdateAndCreateTopic, topicFields("T").with("perm", "4").with("attributes", "-reserve.time"), nil), remoting.ResponseSuccess)
	if h.topicID("T") != id {
		t.Error("the topic has a new number: its messages are lost")
	}
	want := `{"attributes":{"message.type":"FIFO"},"order":false,"perm":4,"readQueueNums":3,` +
		`"topicFilterType":"SINGLE_TAG","topicName":"T","topicSysFlag":0,"writeQueueNums":2}`
	if diff := cmp.Diff(want, h.showTopic("T")); diff != "" {
		t.Errorf("topic (-want +got):\n%s", diff)
	}
	h.want(h.call(remoting.RequestUpdateAndCreateTopic, topicFields("T").with("perm", "4"), nil), remoting.ResponseSuccess)
	if n := h.log.proposed() - before; n != 1 {
		t.Errorf("%d proposals for one change", n)
	}
}

func TestTopicUpdateIsAnsweredWhenItIsApplied(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.log.with(func(l *fakeLog) { l.keep = true })
	created := h.begin(h.client, remoting.RequestUpdateAndCreateTopic, topicFields("New"), nil)
	h.log.waitKept(1)
	// The reader goroutine is free meanwhile, and the second change of the
	// topic waits for the first.
	changed := h.begin(h.client, remoting.RequestUpdateAndCreateTopic, topicFields("New").with("perm", "2"), nil)
	h.want(h.call(remoting.RequestGetTopicConfig, fields{"topic": "New"}, nil), remoting.ResponseTopicNotExist)
	h.creations(2)
	h.log.release()
	h.want(receive(t, created), remoting.ResponseSuccess)
	h.want(receive(t, changed), remoting.ResponseSuccess)
	if shown := h.showTopic("New"); !strings.Contains(shown, `"perm":2`) {
		t.Errorf("topic after both changes: %s", shown)
	}
}

func TestTwoChangesOfANewTopicThatWaitTogetherMakeOneTopic(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.log.with(func(l *fakeLog) { l.keep = true })
	first := h.begin(h.client, remoting.RequestUpdateAndCreateTopic, topicFields("Other"), nil)
	h.log.waitKept(1) // the registry is busy with it
	created := h.begin(h.client, remoting.RequestUpdateAndCreateTopic, topicFields("New"), nil)
	changed := h.begin(h.client, remoting.RequestUpdateAndCreateTopic, topicFields("New").with("perm", "2"), nil)
	h.creations(3)
	before := h.log.topics.NextID()
	h.log.release()
	for _, response := range []<-chan *remoting.Command{first, created, changed} {
		h.want(receive(t, response), remoting.ResponseSuccess)
	}
	if n := h.log.topics.NextID() - before; n != 2 {
		t.Errorf("%d topics were numbered, want 2", n)
	}
	if shown := h.showTopic("New"); !strings.Contains(shown, `"perm":2`) {
		t.Errorf("topic after both changes: %s", shown)
	}
}

func TestIllegalTopicChangesAreRefusedAndChangeNothing(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.want(h.call(remoting.RequestUpdateAndCreateTopic, topicFields("T"), nil), remoting.ResponseSuccess)
	before := h.log.proposed()
	f := topicFields("New")
	for name, c := range map[string]struct {
		header fields
		code   int32
	}{
		"no name":              {f.with("topic", ""), remoting.ResponseInvalidParameter},
		"illegal name":         {f.with("topic", "a b"), remoting.ResponseInvalidParameter},
		"long name":            {f.with("topic", strings.Repeat("t", 128)), remoting.ResponseInvalidParameter},
		"system topic":         {f.with("topic", "TBW102"), remoting.ResponseInvalidParameter},
		"cluster's topic":      {f.with("topic", "DefaultCluster"), remoting.ResponseInvalidParameter},
		"no queues":            {f.with("readQueueNums", "-1"), remoting.ResponseInvalidParameter},
		"too many queues":      {f.with("writeQueueNums", "65537"), remoting.ResponseInvalidParameter},
		"queues not a number":  {f.with("writeQueueNums", "many"), remoting.ResponseInvalidParameter},
		"unknown permission":   {f.with("perm", "16"), remoting.ResponseInvalidParameter},
		"unknown filter":       {f.with("topicFilterType", "NO_TAG"), remoting.ResponseInvalidParameter},
		"mixed messages":       {f.with("attributes", "+message.type=MIXED"), remoting.ResponseInvalidParameter},
		"attribute no sign":    {f.with("attributes", "message.type=FIFO"), remoting.ResponseSystemError},
		"attribute no value":   {f.with("attributes", "+message.type="), remoting.ResponseSystemError},
		"removal with value":   {f.with("attributes", "-message.type=FIFO"), remoting.ResponseSystemError},
		"attribute twice":      {f.with("attributes", "+message.type=FIFO,+message.type=DELAY"), remoting.ResponseSystemError},
		"both set and removed": {f.with("topic", "T").with("attributes", "+message.type=FIFO,-message.type"), remoting.ResponseSystemError},
		"unknown attribute":    {f.with("attributes", "+color=red"), remoting.ResponseSystemError},
		"unknown value":        {f.with("attributes", "+message.type=RED"), remoting.ResponseSystemError},
		"removal at creation":  {f.with("attributes", "-message.type"), remoting.ResponseSystemError},
		"immutable attribute":  {f.with("topic", "T").with("attributes", "+queue.type=SimpleCQ"), remoting.ResponseSystemError},
	} {
		if got := h.call(remoting.RequestUpdateAndCreateTopic, c.header, nil); got.Code != c.code {
			t.Errorf("%s: code %d with remark %q, want %d", name, got.Code, got.Remark, c.code)
		}
	}
	if n := h.log.proposed() - before; n != 0 {
		t.Errorf("%d proposals", n)
	}
}

func TestTopicUpdateThatFailsIsAnsweredByItsErrorClass(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.log.with(func(l *fakeLog) { l.refusal = engine.ErrNotLeader })
	h.want(h.call(remoting.RequestUpdateAndCreateTopic, topicFields("New"), nil), remoting.ResponseServiceNotAvailable)
	h.want(h.call(remoting.RequestDeleteTopicInBroker, fields{"topic": "T"}, nil), remoting.ResponseServiceNotAvailable)
	h.log.with(func(l *fakeLog) { l.refusal = nil })
}

func TestListOfTopicsIsChangedAsAWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	for body, code := range map[string]int32{
		`{"topicConfigList":[{"topicName":"A","attributes":{"+message.type":"DELAY"},"readQueueNums":1},{"topicName":"B"}]}`: remoting.ResponseSuccess,
		`{"topicConfigList":[{"topicName":"C"},{"topicName":"TBW102"}]}`:                                                     remoting.ResponseInvalidParameter,
		`{"topicConfigList":[{"topicName":"C"},{"topicName":1}]}`:                                                            remoting.ResponseInvalidParameter,
		`{"topicConfigList":[` + strings.Repeat(`{"topicName":"C"},`, changeListMax) + `{"topicName":"C"}]}`:                 remoting.ResponseInvalidParameter,
		`{"topicConfigList":[]}`: remoting.ResponseSuccess,
		`{`:                      remoting.ResponseInvalidParameter,
	} {
		h.want(h.call(remoting.RequestUpdateAndCreateTopicList, nil, []byte(body)), code)
	}
	want := `{"attributes":{"message.type":"DELAY"},"order":false,"perm":6,"readQueueNums":1,` +
		`"topicFilterType":"SINGLE_TAG","topicName":"A","topicSysFlag":0,"writeQueueNums":16}`
	if diff := cmp.Diff(want, h.showTopic("A")); diff != "" {
		t.Errorf("topic (-want +got):\n%s", diff)
	}
	h.showTopic("B")
	h.want(h.call(remoting.RequestGetTopicConfig, fields{"topic": "C"}, nil), remoting.ResponseTopicNotExist)
}

func TestDeletedTopicIsGoneWithItsMessagesAndOffsets(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.send(0, "a", "x")
	h.want(h.call(remoting.RequestUpdateConsumerOffset, offsetFields(0).with("commitOffset", "1"), nil), remoting.ResponseSuccess)
	q := event.Queue{Topic: h.topicID("T")}
	h.want(h.call(remoting.RequestDeleteTopicInBroker, fields{"topic": "T"}, nil), remoting.ResponseSuccess)
	if _, found := h.log.offsets.Get("CG", q); found {
		t.Error("the offset is still there")
	}
	h.want(h.call(remoting.RequestGetTopicConfig, fields{"topic": "T"}, nil), remoting.ResponseTopicNotExist)
	h.want(h.call(remoting.RequestDeleteTopicInBroker, fields{"topic": "T"}, nil), remoting.ResponseSuccess)
	h.want(h.call(remoting.RequestUpdateAndCreateTopic, topicFields("T"), nil), remoting.ResponseSuccess)
	got := h.want(h.call(remoting.RequestGetMaxOffset, fields{"topic": "T", "queueId": "0"}, nil), remoting.ResponseSuccess)
	if got.Text("offset") != "0" {
		t.Errorf("the new topic's queue ends at %s", got.Text("offset"))
	}
	for _, name := range []string{"", " ", "TBW102", "DefaultCluster"} {
		h.want(h.call(remoting.RequestDeleteTopicInBroker, fields{"topic": name}, nil), remoting.ResponseInvalidParameter)
	}
}

func TestSystemTopicsAreListed(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.wantBody(remoting.RequestGetSystemTopicListFromBroker, nil, `{"topicList":["BenchmarkTest","DefaultCluster",`+
		`"DefaultCluster_REPLY_TOPIC","OFFSET_MOVED_EVENT","RMQ_SYS_TRACE_TOPIC","RMQ_SYS_TRANS_HALF_TOPIC",`+
		`"RMQ_SYS_TRANS_OP_HALF_TOPIC","SCHEDULE_TOPIC_XXXX","SELF_TEST_TOPIC","TBW102","TRANS_CHECK_MAX_TIME_TOPIC","broker-a","rmq_sys_wheel_timer"]}`)
}

func versionText(v dataVersion) string {
	return fmt.Sprintf(`{"counter":%d,"stateVersion":%d,"timestamp":%d}`, v.Counter, v.StateVersion, v.Timestamp)
}

func TestAllTopicsAreShownOnceOverAllPages(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	type wrapper struct {
		DataVersion      dataVersion
		TopicConfigTable map[string]topicConfigBody
	}
	show := func(header fields) (w wrapper, total string) {
		got := h.want(h.call(remoting.RequestGetAllTopicConfig, header, nil), remoting.ResponseSuccess)
		if err := json.Unmarshal(got.Body, &w); err != nil {
			t.Fatal(err)
		}
		return w, got.Text("totalTopicNum")
	}
	whole, total := show(nil)
	if total != fmt.Sprint(len(whole.TopicConfigTable)) || whole.TopicConfigTable["T"].ReadQueues != 4 {
		t.Errorf("%s topics: %v", total, whole.TopicConfigTable)
	}
	if want := (dataVersion{Counter: int64(h.log.topics.Version()), Timestamp: h.broker.startedMillis}); whole.DataVersion != want {
		t.Errorf("version %+v, want %+v", whole.DataVersion, want)
	}
	paged := map[string]topicConfigBody{}
	for seq := 0; seq < len(whole.TopicConfigTable); seq += 5 {
		w, _ := show(fields{"topicSeq": fmt.Sprint(seq), "maxTopicNum": "5", "dataVersion": versionText(whole.DataVersion)})
		if len(w.TopicConfigTable) > 5 {
			t.Errorf("page of %d topics", len(w.TopicConfigTable))
		}
		for name, topic := range w.TopicConfigTable {
			paged[name] = topic
		}
	}
	if diff := cmp.Diff(whole.TopicConfigTable, paged); diff != "" {
		t.Errorf("all pages (-whole +pages):\n%s", diff)
	}
	current := whole.DataVersion
	if past, _ := show(fields{"topicSeq": "1000", "maxTopicNum": "5", "dataVersion": versionText(current)}); len(past.TopicConfigTable) != 0 {
		t.Errorf("%d topics past the end", len(past.TopicConfigTable))
	}
	current.Counter--
	if again, _ := show(fields{"topicSeq": "1000", "maxTopicNum": "5", "dataVersion": versionText(current)}); len(again.TopicConfigTable) != 5 {
		t.Errorf("%d topics for a client that knows an older version, want the first 5", len(again.TopicConfigTable))
	}
}
