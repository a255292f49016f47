package broker

import (
	"testing"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/server/remoting"
)

func (h *harness) commitAs(group string, queueID int, offset int64) {
	h.Helper()
	f := offsetFields(queueID).with("consumerGroup", group).with("commitOffset", textOf(offset))
	h.want(h.call(remoting.RequestUpdateConsumerOffset, f, nil), remoting.ResponseSuccess)
}

func TestOffsetsOfAGroupAreClonedToAnother(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.createTopic(TopicSettings{Name: "U", ReadQueues: 1, WriteQueues: 1, Permission: 6})
	h.commitAs("CG", 0, 7)
	h.commitAs("CG", 3, 9)
	h.want(h.call(remoting.RequestUpdateConsumerOffset,
		fields{"consumerGroup": "CG", "topic": "U", "queueId": "0", "commitOffset": "5"}, nil), remoting.ResponseSuccess)
	f := fields{"srcGroup": "CG", "destGroup": "New", "topic": "T", "offline": "true"}
	h.want(h.call(remoting.RequestCloneGroupOffset, f, nil), remoting.ResponseSuccess)
	h.wantBody(remoting.RequestQueryTopicsByConsumer, fields{"group": "New"}, `{"brokerAddr":"192.0.2.1:10911","topicList":["T"]}`)
	query := func(group string, queueID int) string {
		return h.call(remoting.RequestQueryConsumerOffset, offsetFields(queueID).with("consumerGroup", group), nil).Text("offset")
	}
	if query("New", 0) != "7" || query("New", 3) != "9" {
		t.Errorf("offsets %s and %s, want 7 and 9", query("New", 0), query("New", 3))
	}

	// A topic that the online members have given up is left out.
	h.heartbeat(h.client, "c1", "CG", map[string]string{"U": "*"})
	h.want(h.call(remoting.RequestCloneGroupOffset, f.with("destGroup", "Online").with("topic", "").with("offline", "false"), nil), remoting.ResponseSuccess)
	h.wantBody(remoting.RequestQueryTopicsByConsumer, fields{"group": "Online"}, `{"brokerAddr":"192.0.2.1:10911","topicList":["U"]}`)

	// The copy wins over a reset that nobody has picked up.
	h.want(h.call(remoting.RequestInvokeBrokerToResetOffset, resetFields(0).with("group", "New"), nil), remoting.ResponseSuccess)
	h.want(h.call(remoting.RequestCloneGroupOffset, f, nil), remoting.ResponseSuccess)
	h.want(h.call(remoting.RequestCloneGroupOffset, f.with("srcGroup", "None"), nil), remoting.ResponseSuccess)
	if query("New", 0) != "7" || h.broker.commits.awaitsPickup(commitKey{"New", event.Queue{Topic: h.topicID("T"), ID: 0}}) {
		t.Errorf("offset %s after the second copy, want 7", query("New", 0))
	}
	h.want(h.call(remoting.RequestCloneGroupOffset, f.with("destGroup", "no name"), nil), remoting.ResponseGroupNotExist)
	h.log.with(func(l *fakeLog) { l.refusal = engine.ErrNotLeader })
	h.commitFails(f)
}

// commitFails checks that a copy that can't be stored is answered so.
func (h *harness) commitFails(f fields) {
	h.Helper()
	h.want(h.call(remoting.RequestCloneGroupOffset, f.with("topic", ""), nil), remoting.ResponseServiceNotAvailable)
}

func TestCorrectionIsTheSmallestOffsetOfTheOtherGroups(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.commitAs("A", 0, 7)
	h.commitAs("B", 0, 5)
	h.commitAs("B", 1, 8)
	h.commitAs("Left", 0, 1)
	f := fields{"topic": "T", "filterGroups": "Left,None", "compareGroup": "None"}
	h.wantBody(remoting.RequestQueryCorrectionOffset, f, `{"correctionOffsets":{0:5,1:8}}`)
	h.commitAs("Behind", 0, 2)
	h.wantBody(remoting.RequestQueryCorrectionOffset, f.with("filterGroups", "Left,Behind").with("compareGroup", "Behind"),
		`{"correctionOffsets":{0:9223372036854775807,1:8}}`)
	h.wantBody(remoting.RequestQueryCorrectionOffset, f.with("topic", "None"), `{"correctionOffsets":{}}`)
}

func TestQueueIsShownEntryByEntry(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	for range 2 {
		h.send(1, "TagA", "x")
	}
	h.send(1, "TagB", "yy")
	h.want(h.call(remoting.RequestHeartBeat, nil, []byte(fullHeartbeat)), remoting.ResponseSuccess)
	positions, sizes := [3]string{}, [3]string{}
	h.log.with(func(l *fakeLog) {
		for i, s := range l.queues[event.Queue{Topic: h.topicID("T"), ID: 1}] {
			positions[i], sizes[i] = textOf(int64(s.position)), textOf(int64(len(s.event.Payload())))
		}
	})
	entry := func(i int, matches, code string) string {
		return `{"eval":` + matches + `,"physicOffset":` + positions[i] + `,"physicSize":` + sizes[i] + `,"tagsCode":` + code + `}`
	}
	f := fields{"topic": "T", "queueId": "1", "index": "1", "count": "10"}
	h.wantBody(remoting.RequestQueryConsumeQueue, f,
		`{"maxQueueIndex":3,"minQueueIndex":0,"queueData":[`+entry(1, "true", "2598919")+`,`+entry(2, "true", "2598920")+`]}`)
	h.wantBody(remoting.RequestQueryConsumeQueue, f.with("consumerGroup", "CG").with("index", "2"),
		`{"maxQueueIndex":3,"minQueueIndex":0,"queueData":[`+entry(2, "false", "2598920")+`],"subscriptionData":`+subscriptionJSON+`}`)
	h.wantBody(remoting.RequestQueryConsumeQueue, f.with("consumerGroup", "Away").with("count", "0"),
		`{"filterData":"Away@T is not online!","maxQueueIndex":3,"minQueueIndex":0,"queueData":[]}`)
	for _, outside := range []string{"-1", "3", "9223372036854775807"} {
		h.wantBody(remoting.RequestQueryConsumeQueue, f.with("index", outside), `{"maxQueueIndex":3,"minQueueIndex":0,"queueData":[]}`)
	}
	h.want(h.call(remoting.RequestQueryConsumeQueue, f.with("topic", "None"), nil), remoting.ResponseSystemError)
	h.want(h.call(remoting.RequestQueryConsumeQueue, f.with("queueId", "4"), nil), remoting.ResponseSystemError)
	h.want(h.call(remoting.RequestQueryConsumeQueue, f.with("count", "many"), nil), remoting.ResponseInvalidParameter)
}
