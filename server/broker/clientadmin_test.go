package broker

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
)

// wantBody compares the body of a successful response.
func (h *harness) wantBody(code int32, header fields, want string) {
	h.Helper()
	got := h.want(h.call(code, header, nil), remoting.ResponseSuccess)
	if diff := cmp.Diff(want, string(got.Body)); diff != "" {
		h.Errorf("body of request %d with %v (-want +got):\n%s", code, header, diff)
	}
}

// localAddress is where a client's connection comes from.
func localAddress(c *remoting.Client) string { return c.Conn().LocalAddr().String() }

const fullHeartbeat = `{"clientID":"c1","producerDataSet":[{"groupName":"PG"}],"consumerDataSet":[{"groupName":"CG",` +
	`"consumeType":"CONSUME_PASSIVELY","messageModel":"CLUSTERING","consumeFromWhere":"CONSUME_FROM_LAST_OFFSET",` +
	`"subscriptionDataSet":[{"topic":"T","subString":"TagA","expressionType":"TAG","subVersion":7,"tagsSet":["TagA"],"codeSet":[2598919]}]}]}`

const subscriptionJSON = `{"classFilterMode":false,"codeSet":[2598919],"expressionType":"TAG","subString":"TagA","subVersion":7,"tagsSet":["TagA"],"topic":"T"}`

func TestConnectionsAreShownAsRocketMQWritesThem(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *Config) { c.Clock = func() time.Time { return time.UnixMilli(1700000000000) } })
	h.want(h.call(remoting.RequestHeartBeat, nil, []byte(fullHeartbeat)), remoting.ResponseSuccess)
	address := localAddress(h.client)
	connection := `{"clientAddr":"` + address + `","clientId":"c1","language":"JAVA","version":479}`
	h.wantBody(remoting.RequestGetConsumerConnectionList, fields{"consumerGroup": "CG"},
		`{"connectionSet":[`+connection+`],"consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","consumeType":"CONSUME_PASSIVELY",`+
			`"messageModel":"CLUSTERING","subscriptionTable":{"T":`+subscriptionJSON+`}}`)
	h.wantBody(remoting.RequestGetProducerConnectionList, fields{"producerGroup": "PG"}, `{"connectionSet":[`+connection+`]}`)
	h.wantBody(remoting.RequestGetAllProducerInfo, nil, `{"data":{"PG":[{"clientId":"c1","language":"JAVA",`+
		`"lastUpdateTimestamp":1700000000000,"remoteIP":"/`+address+`","version":479}]}}`)
	h.wantBody(remoting.RequestQuerySubscriptionByConsumer, fields{"group": "CG", "topic": "T"},
		`{"group":"CG","subscriptionData":`+subscriptionJSON+`,"topic":"T"}`)
	h.wantBody(remoting.RequestQuerySubscriptionByConsumer, fields{"group": "CG", "topic": "U"}, `{"group":"CG","topic":"U"}`)
	h.want(h.call(remoting.RequestGetConsumerConnectionList, fields{"consumerGroup": "None"}, nil), remoting.ResponseConsumerNotOnline)
	h.want(h.call(remoting.RequestGetProducerConnectionList, fields{"producerGroup": "None"}, nil), remoting.ResponseSystemError)
}

func TestGroupsAndTopicsFindEachOtherByOffsetsAndSubscriptions(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.wantBody(remoting.RequestQueryTopicConsumeByWho, fields{"topic": "T"}, `{"groupList":[]}`)
	h.wantBody(remoting.RequestQueryTopicsByConsumer, fields{"group": "CG"}, `{"brokerAddr":"192.0.2.1:10911","topicList":[]}`)
	h.want(h.call(remoting.RequestHeartBeat, nil, []byte(fullHeartbeat)), remoting.ResponseSuccess)
	h.want(h.call(remoting.RequestUpdateConsumerOffset, offsetFields(0).with("consumerGroup", "Away").with("commitOffset", "1"), nil), remoting.ResponseSuccess)
	h.wantBody(remoting.RequestQueryTopicConsumeByWho, fields{"topic": "T"}, `{"groupList":["Away","CG"]}`)
	h.wantBody(remoting.RequestQueryTopicConsumeByWho, fields{"topic": "None"}, `{"groupList":[]}`)
	h.wantBody(remoting.RequestQueryTopicsByConsumer, fields{"group": "Away"}, `{"brokerAddr":"192.0.2.1:10911","topicList":["T"]}`)
}

func TestGroupThatIsNotToBeToldIsNotTold(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.want(h.updateGroup(`{"groupName":"CG","notifyConsumerIdsChangedEnable":false}`), remoting.ResponseSuccess)
	told := make(notices, 10)
	c := h.dial(told)
	h.heartbeat(c, "c1", "CG", map[string]string{"T": "*"})
	h.heartbeat(c, "c1", "Told", map[string]string{"T": "*"})
	if group := receive(t, told); group != "Told" {
		t.Errorf("told about %q", group)
	}
}

func TestMessageIsViewedByItsPosition(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	var ids []string
	for _, body := range []string{"one", "two", "three"} {
		ids = append(ids, h.send(2, "a", body).Text("msgId"))
	}
	position, err := record.ParseMessageID(ids[1])
	if err != nil {
		t.Fatal(err)
	}
	view := func(offset int64) *remoting.Command {
		return h.call(remoting.RequestViewMessageByID, fields{"topic": "T"}.with("offset", textOf(offset)), nil)
	}
	r := h.decodeAll(h.want(view(position), remoting.ResponseSuccess).Body)[0]
	if string(r.Body) != "two" || r.QueueID != 2 || r.QueueOffset != 1 || r.Position != position {
		t.Errorf("record %+v", r)
	}
	h.want(view(position+1), remoting.ResponseSystemError)
	h.want(view(1<<40), remoting.ResponseSystemError)
	h.want(view(-1), remoting.ResponseInvalidParameter)
	h.want(view(0), remoting.ResponseSystemError) // a topic's event
}

func TestMessageIsFoundAmongThoseOfTheSameTime(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	bodies := make([]string, 2*pullScanMax+10)
	for i := range bodies {
		bodies[i] = "x"
	}
	sent := h.want(h.call(remoting.RequestSendBatchMessage, sendFields(0).with("m", "true"), batchBody(bodies...)), remoting.ResponseSuccess)
	ids := strings.Split(sent.Text("msgId"), ",")
	position, err := record.ParseMessageID(ids[len(ids)-1])
	if err != nil {
		t.Fatal(err)
	}
	got := h.want(h.call(remoting.RequestViewMessageByID, fields{"offset": textOf(position)}, nil), remoting.ResponseSuccess)
	if r := h.decodeAll(got.Body)[0]; r.QueueOffset != int64(len(bodies)-1) {
		t.Errorf("queue offset %d, want %d", r.QueueOffset, len(bodies)-1)
	}
}

// peer answers what the broker passes on to a client.
type peer struct {
	answer func(cmd *remoting.Command) *remoting.Reply
}

func (p peer) Handle(rt remoting.ReplyTo, cmd *remoting.Command) {
	if reply := p.answer(cmd); reply != nil {
		rt.Send(reply)
	}
}
func (p peer) Closed(*remoting.Conn) {}

func TestRequestsToAClientArePassedOnAndAnswered(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *Config) { c.Limits.RelayPatience = 200 * time.Millisecond })
	id := h.send(1, "a", "consume me").Text("msgId")
	c := h.dial(peer{func(cmd *remoting.Command) *remoting.Reply {
		switch {
		case cmd.Code == remoting.RequestConsumeMessageDirectly:
			r, _, err := record.Decode(cmd.Body)
			if err != nil {
				return &remoting.Reply{Code: remoting.ResponseSystemError, Remark: err.Error()}
			}
			return &remoting.Reply{Body: []byte(cmd.Text("brokerName") + " " + cmd.Text("groupSysFlag") + " " + string(r.Body))}
		case cmd.Code == remoting.RequestGetConsumerRunningInfo && cmd.Bool("jstackEnable"):
			return &remoting.Reply{Body: []byte(`{"jstack":"..."}`)}
		}
		return nil // never
	}})
	h.heartbeat(c, "c1", "CG", map[string]string{"T": "*"})
	f := fields{"consumerGroup": "CG", "clientId": "c1"}
	h.wantBody(remoting.RequestGetConsumerRunningInfo, f.with("jstackEnable", "true"), `{"jstack":"..."}`)
	h.wantBody(remoting.RequestConsumeMessageDirectly, f.with("msgId", id).with("topic", "T"), "broker-a 0 consume me")
	h.want(h.call(remoting.RequestConsumeMessageDirectly, f.with("msgId", "x"), nil), remoting.ResponseInvalidParameter)
	h.want(h.call(remoting.RequestConsumeMessageDirectly, f.with("msgId", id[:16]+"0000000000000001"), nil), remoting.ResponseSystemError)
	late := h.want(h.call(remoting.RequestGetConsumerRunningInfo, f, nil), remoting.ResponseConsumeMessageTimeout)
	if !strings.HasPrefix(string(late.Remark), "consumer <CG> <c1> Timeout:") {
		t.Errorf("remark %q", late.Remark)
	}
	h.want(h.call(remoting.RequestGetConsumerRunningInfo, f.with("clientId", "c2"), nil), remoting.ResponseSystemError)
}

func TestRequestsToClientsAreBounded(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *Config) { c.Limits.Relays = 1 })
	asked := make(chan struct{}, 2)
	c := h.dial(peer{func(cmd *remoting.Command) *remoting.Reply {
		if cmd.Code == remoting.RequestGetConsumerRunningInfo {
			asked <- struct{}{}
		}
		return nil
	}})
	h.heartbeat(c, "c1", "CG", map[string]string{"T": "*"})
	f := fields{"consumerGroup": "CG", "clientId": "c1"}
	first := h.begin(h.client, remoting.RequestGetConsumerRunningInfo, f, nil)
	receive(t, asked)
	h.want(h.call(remoting.RequestGetConsumerRunningInfo, f, nil), remoting.ResponseSystemBusy)
	c.Close()
	h.want(receive(t, first), remoting.ResponseSystemError)
}
