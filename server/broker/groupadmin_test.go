package broker

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/group"
	"github.com/apogeemq/apogee/server/remoting"
)

// defaultGroupJSON is what RocketMQ writes for a group that nobody configured.
const defaultGroupJSON = `{"attributes":{},"brokerId":0,"consumeBroadcastEnable":true,"consumeEnable":true,` +
	`"consumeFromMinEnable":true,"consumeMessageOrderly":false,"consumeTimeoutMinute":15,"groupName":"G",` +
	`"groupRetryPolicy":{"type":"CUSTOMIZED"},"groupSysFlag":0,"notifyConsumerIdsChangedEnable":true,` +
	`"retryMaxTimes":16,"retryQueueNums":1,"whichBrokerWhenConsumeSlowly":1}`

func (h *harness) showGroup(name string) string {
	h.Helper()
	return string(h.want(h.call(remoting.RequestGetGroupConfig, fields{"group": name}, nil), remoting.ResponseSuccess).Body)
}

func (h *harness) updateGroup(body string) *remoting.Command {
	h.Helper()
	return h.call(remoting.RequestUpdateAndCreateGroup, nil, []byte(body))
}

func TestGroupIsCreatedChangedAndShownAsRocketMQWritesIt(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.want(h.updateGroup(`{"groupName":"G"}`), remoting.ResponseSuccess)
	if diff := cmp.Diff(defaultGroupJSON, h.showGroup("G")); diff != "" {
		t.Errorf("group (-want +got):\n%s", diff)
	}
	g, _ := h.log.groups.Get("G")
	if len(g.Config.Attributes) != 0 {
		t.Errorf("the log has %v for a group with defaults", g.Config.Attributes)
	}
	changed := `{"attributes":{"priority.factor":"50"},"brokerId":2,"consumeBroadcastEnable":false,"consumeEnable":false,` +
		`"consumeFromMinEnable":false,"consumeMessageOrderly":true,"consumeTimeoutMinute":5,"groupName":"G",` +
		`"groupRetryPolicy":{"customizedRetryPolicy":{"next":[1000]},"type":"CUSTOMIZED"},"groupSysFlag":1,"notifyConsumerIdsChangedEnable":false,` +
		`"retryMaxTimes":3,"retryQueueNums":0,"subscriptionDataSet":[{"topic":"T"}],"whichBrokerWhenConsumeSlowly":4}`
	h.want(h.updateGroup(strings.Replace(changed, `"priority`, `"+priority`, 1)), remoting.ResponseSuccess)
	if diff := cmp.Diff(changed, h.showGroup("G")); diff != "" {
		t.Errorf("changed group (-want +got):\n%s", diff)
	}
	before := h.log.proposed()
	h.want(h.updateGroup(strings.Replace(changed, `{"priority.factor":"50"}`, `{}`, 1)), remoting.ResponseSuccess)
	if h.log.proposed() != before {
		t.Error("an update that changes nothing was proposed")
	}
	h.want(h.call(remoting.RequestGetGroupConfig, fields{"group": "None"}, nil), remoting.ResponseGroupNotExist)
}

func TestIllegalGroupChangesAreRefused(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	before := h.log.proposed()
	for body, code := range map[string]int32{
		`{"groupName":""}`:    remoting.ResponseInvalidParameter,
		`{"groupName":"a b"}`: remoting.ResponseInvalidParameter,
		`{"groupName":"` + strings.Repeat("g", 121) + `"}`:       remoting.ResponseInvalidParameter,
		`{"groupName":"G","retryQueueNums":65537}`:               remoting.ResponseInvalidParameter,
		`{"groupName":"G","retryQueueNums":"many"}`:              remoting.ResponseInvalidParameter,
		`{"groupName":"G","attributes":{"priority.factor":"1"}}`: remoting.ResponseSystemError,
		`{"groupName":"G","attributes":{"+color":"red"}}`:        remoting.ResponseSystemError,
		`{`:    remoting.ResponseInvalidParameter,
		`null`: remoting.ResponseSuccess,
		``:     remoting.ResponseSuccess,
	} {
		if got := h.updateGroup(body); got.Code != code {
			t.Errorf("%s: code %d with remark %q, want %d", body, got.Code, got.Remark, code)
		}
	}
	if h.log.proposed() != before {
		t.Error("something was proposed")
	}
}

func TestListOfGroupsIsChangedAsAWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	for body, code := range map[string]int32{
		`{"groupConfigList":[{"groupName":"A","retryMaxTimes":1},{"groupName":"B"}]}`:                        remoting.ResponseSuccess,
		`{"groupConfigList":[{"groupName":"C"},{"groupName":" "}]}`:                                          remoting.ResponseInvalidParameter,
		`{"groupConfigList":[{"groupName":"C"},1]}`:                                                          remoting.ResponseInvalidParameter,
		`{"groupConfigList":[` + strings.Repeat(`{"groupName":"C"},`, changeListMax) + `{"groupName":"C"}]}`: remoting.ResponseInvalidParameter,
		`{`: remoting.ResponseInvalidParameter,
	} {
		h.want(h.call(remoting.RequestUpdateAndCreateGroupList, nil, []byte(body)), code)
	}
	if shown := h.showGroup("A"); !strings.Contains(shown, `"retryMaxTimes":1,`) {
		t.Errorf("group A: %s", shown)
	}
	h.showGroup("B")
	h.want(h.call(remoting.RequestGetGroupConfig, fields{"group": "C"}, nil), remoting.ResponseGroupNotExist)
}

func TestAllGroupsAreShownWithTheSystemsOwn(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.createGroup(defaultGroup("G"))
	got := h.want(h.call(remoting.RequestGetAllGroupConfig, nil, nil), remoting.ResponseSuccess)
	var body struct {
		DataVersion            dataVersion
		ForbiddenTable         map[string]any
		SubscriptionGroupTable map[string]json.RawMessage
	}
	if err := json.Unmarshal(got.Body, &body); err != nil {
		t.Fatal(err)
	}
	table := body.SubscriptionGroupTable
	if got.Text("totalGroupNum") != "10" || len(table) != 10 || table["TOOLS_CONSUMER"] == nil || body.ForbiddenTable == nil {
		t.Errorf("%s groups: %s", got.Text("totalGroupNum"), got.Body)
	}
	if diff := cmp.Diff(defaultGroupJSON, string(table["G"])); diff != "" {
		t.Errorf("group (-want +got):\n%s", diff)
	}
	paged := h.want(h.call(remoting.RequestGetAllGroupConfig, fields{"groupSeq": "0", "maxGroupNum": "3"}, nil), remoting.ResponseSuccess)
	body.SubscriptionGroupTable = nil
	if err := json.Unmarshal(paged.Body, &body); err != nil || len(body.SubscriptionGroupTable) != 3 {
		t.Errorf("page of %d groups, %v", len(body.SubscriptionGroupTable), err)
	}
}

func TestDeletedGroupKeepsItsOffsetsUnlessToldOtherwise(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	q := event.Queue{Topic: h.topicID("T")}
	h.want(h.call(remoting.RequestUpdateConsumerOffset, offsetFields(0).with("commitOffset", "3"), nil), remoting.ResponseSuccess)
	h.want(h.call(remoting.RequestDeleteGroup, fields{"groupName": "CG"}, nil), remoting.ResponseSuccess)
	h.want(h.call(remoting.RequestGetGroupConfig, fields{"group": "CG"}, nil), remoting.ResponseGroupNotExist)
	if _, found := h.log.offsets.Get("CG", q); !found {
		t.Error("the offset is gone")
	}
	h.want(h.call(remoting.RequestDeleteGroup, fields{"groupName": "CG", "cleanOffset": "true"}, nil), remoting.ResponseSuccess)
	if _, found := h.log.offsets.Get("CG", q); found {
		t.Error("the offset is still there")
	}
	h.want(h.call(remoting.RequestDeleteGroup, nil, nil), remoting.ResponseInvalidParameter)
}

func TestFirstUseOfAGroupCreatesIt(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.send(0, "a", "x")
	h.want(h.pull(pullFields(0, 0).with("consumerGroup", "Puller")), remoting.ResponseSuccess)
	h.showGroup("Puller")
	h.want(h.call(remoting.RequestUpdateConsumerOffset, offsetFields(0).with("consumerGroup", "Committer").with("commitOffset", "1"), nil), remoting.ResponseSuccess)
	h.showGroup("Committer")
	h.want(h.call(remoting.RequestSendMessageV2, sendFields(0).with("b", "%RETRY%Retrier"), []byte("x")), remoting.ResponseSuccess)
	h.showGroup("Retrier")
	h.want(h.pull(pullFields(0, 0).with("consumerGroup", "a b")), remoting.ResponseGroupNotExist)
}

func TestUnknownGroupIsRefusedWhereCreationIsSwitchedOff(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *Config) { c.AutoCreateGroup = false })
	before := h.log.proposed()
	h.want(h.pull(pullFields(0, 0).with("consumerGroup", "G")), remoting.ResponseGroupNotExist)
	h.want(h.call(remoting.RequestUpdateConsumerOffset, offsetFields(0).with("consumerGroup", "G").with("commitOffset", "1"), nil), remoting.ResponseGroupNotExist)
	h.want(h.call(remoting.RequestSendMessageV2, sendFields(0).with("b", "%RETRY%G"), []byte("x")), remoting.ResponseGroupNotExist)
	h.heartbeat(h.client, "c1", "G", map[string]string{"T": "*"})
	if members := h.members("G"); members != nil {
		t.Errorf("members %v of a group that isn't there", members)
	}
	if h.log.proposed() != before {
		t.Error("something was proposed")
	}
}

func TestGroupThatMayNotConsumeIsRefused(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.send(0, "a", "x")
	h.want(h.updateGroup(`{"groupName":"CG","consumeEnable":false}`), remoting.ResponseSuccess)
	got := h.want(h.pull(pullFields(0, 0)), remoting.ResponseNoPermission)
	if got.Text("forbiddenType") != "2" {
		t.Errorf("forbiddenType %q", got.Text("forbiddenType"))
	}
	h.want(h.updateGroup(`{"groupName":"CG","consumeBroadcastEnable":false}`), remoting.ResponseSuccess)
	h.want(h.pull(pullFields(0, 0)), remoting.ResponseSuccess)
	body := `{"clientID":"c1","consumerDataSet":[{"groupName":"CG","messageModel":"BROADCASTING","subscriptionDataSet":[]}]}`
	h.want(h.call(remoting.RequestHeartBeat, nil, []byte(body)), remoting.ResponseSuccess)
	got = h.want(h.pull(pullFields(0, 0)), remoting.ResponseNoPermission)
	if got.Text("forbiddenType") != "4" {
		t.Errorf("forbiddenType %q", got.Text("forbiddenType"))
	}
}

func TestRetriesOfAGroupFollowItsSettings(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.want(h.updateGroup(`{"groupName":"CG","retryMaxTimes":2,"retryQueueNums":3}`), remoting.ResponseSuccess)
	h.heartbeat(h.client, "c1", "CG", map[string]string{"T": "*"})
	h.createTopic(*retryTopic("%DLQ%CG")) // also waits for the heartbeat's topic
	if retry, _ := h.log.topics.Get("%RETRY%CG"); retry.Config.WriteQueues != 3 {
		t.Errorf("retry topic %+v", retry)
	}
	for times, dead := range map[string]event.Offset{"2": 0, "3": 1} {
		f := sendFields(0).with("b", "%RETRY%CG").with("j", times)
		_, before := h.log.Bounds(event.Queue{Topic: h.topicID("%DLQ%CG")})
		h.want(h.call(remoting.RequestSendMessageV2, f, []byte("x")), remoting.ResponseSuccess)
		if _, next := h.log.Bounds(event.Queue{Topic: h.topicID("%DLQ%CG")}); next-before != dead {
			t.Errorf("tried %s times: %d dead letters, want %d", times, next-before, dead)
		}
	}
}

func TestUnreadableGroupAttributesHaveTheirDefaults(t *testing.T) {
	t.Parallel()
	config := event.GroupConfig{Name: "G", Attributes: []event.Attribute{{Key: "retryMaxTimes", Value: "x"}, {Key: "unknown", Value: "x"}}}
	if diff := cmp.Diff(defaultGroup("G"), groupSettingsOf(group.Group{Config: config})); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}
