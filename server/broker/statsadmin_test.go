package broker

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apogeemq/apogee/server/remoting"
)

func textOf(n int64) string { return strconv.FormatInt(n, 10) }

// mq is the JSON of a queue of T.
func mq(id int) string { return fmt.Sprintf(`{"brokerName":"broker-a","queueId":%d,"topic":"T"}`, id) }

// startWithTwoMessages has two messages in queue 1 of T, of which CG has
// consumed the first. It returns their store times.
func startWithTwoMessages(t *testing.T) (h *harness, first, second string) {
	h = start(t, func(c *Config) { c.Clock = func() time.Time { return time.UnixMilli(1700000100000) } })
	var times [2]string
	for i := range times {
		h.send(1, "a", "x")
		h.log.with(func(l *fakeLog) { times[i] = textOf(l.timestamp) })
	}
	h.want(h.call(remoting.RequestUpdateConsumerOffset, offsetFields(1).with("commitOffset", "1"), nil), remoting.ResponseSuccess)
	return h, times[0], times[1]
}

func TestTopicStatsAreThoseOfItsQueues(t *testing.T) {
	t.Parallel()
	h, _, second := startWithTwoMessages(t)
	empty := `{"lastUpdateTimestamp":0,"maxOffset":0,"minOffset":0}`
	h.wantBody(remoting.RequestGetTopicStatsInfo, fields{"topic": "T"}, `{"offsetTable":{`+mq(0)+`:`+empty+`,`+
		mq(1)+`:{"lastUpdateTimestamp":`+second+`,"maxOffset":2,"minOffset":0},`+mq(2)+`:`+empty+`,`+mq(3)+`:`+empty+`},"topicPutTps":0.0}`)
	h.want(h.call(remoting.RequestGetTopicStatsInfo, fields{"topic": "None"}, nil), remoting.ResponseTopicNotExist)
}

func TestConsumeStatsShowHowFarAGroupIs(t *testing.T) {
	t.Parallel()
	h, first, _ := startWithTwoMessages(t)
	none := `{"brokerOffset":0,"consumerOffset":0,"lastTimestamp":0,"pullOffset":0}`
	table := `{` + mq(0) + `:` + none + `,` + mq(1) + `:{"brokerOffset":2,"consumerOffset":1,"lastTimestamp":` + first + `,"pullOffset":1},` +
		mq(2) + `:` + none + `,` + mq(3) + `:` + none + `}`
	all := `{"consumeTps":0.0,"offsetTable":` + table + `}`
	f := fields{"consumerGroup": "CG"}
	h.wantBody(remoting.RequestGetConsumeStats, f, all)
	h.wantBody(remoting.RequestGetConsumeStats, f.with("topic", "T"), all)
	h.wantBody(remoting.RequestGetConsumeStats, f.with("topicList", "T;None;T;"), all)
	h.wantBody(remoting.RequestGetConsumeStats, f.with("topic", "None"), `{"consumeTps":0.0,"offsetTable":{}}`)
	h.heartbeat(h.client, "c1", "CG", map[string]string{"Other": "*"}) // T is not subscribed any more
	h.wantBody(remoting.RequestGetConsumeStats, f, `{"consumeTps":0.0,"offsetTable":{}}`)
	h.want(h.call(remoting.RequestUnregisterClient, fields{"clientID": "c1", "consumerGroup": "CG"}, nil), remoting.ResponseSuccess)

	got := string(h.want(h.call(remoting.RequestGetBrokerConsumeStats, fields{"isOrder": "false"}, nil), remoting.ResponseSuccess).Body)
	if !strings.HasPrefix(got, `{"brokerAddr":"192.0.2.1:10911","consumeStatsList":[`) ||
		!strings.HasSuffix(got, `],"totalDiff":1,"totalInflightDiff":0}`) ||
		!strings.Contains(got, `[{"CG":[`+all+`]},{"CID_ONS-HTTP-PROXY":[]},`) {
		t.Errorf("stats of all groups: %s", got)
	}
	got = string(h.want(h.call(remoting.RequestGetBrokerConsumeStats, fields{"isOrder": "true"}, nil), remoting.ResponseSuccess).Body)
	if !strings.Contains(got, `{"CG":[]}`) || !strings.Contains(got, `"totalDiff":0`) {
		t.Errorf("stats of ordered topics: %s", got)
	}
}

func TestConsumeTimesAreThoseOfTheMessages(t *testing.T) {
	t.Parallel()
	h, first, second := startWithTwoMessages(t)
	got := string(h.want(h.call(remoting.RequestQueryConsumeTimeSpan, fields{"topic": "T", "group": "CG"}, nil), remoting.ResponseSuccess).Body)
	at, _ := strconv.ParseInt(second, 10, 64)
	want := `{"consumeTimeStamp":` + first + `,"delayTime":` + textOf(1700000100000-at) + `,"maxTimeStamp":` + second +
		`,"messageQueue":` + mq(1) + `,"minTimeStamp":` + first + `}`
	if !strings.HasPrefix(got, `{"consumeTimeSpanSet":[{"consumeTimeStamp":-1,"delayTime":0,"maxTimeStamp":-1,`) || !strings.Contains(got, want) {
		t.Errorf("times %s\nlack %s", got, want)
	}
	h.want(h.call(remoting.RequestQueryConsumeTimeSpan, fields{"topic": "None", "group": "CG"}, nil), remoting.ResponseTopicNotExist)
}

func TestAllOffsetsAreShownByTopicAndGroup(t *testing.T) {
	t.Parallel()
	h, _, _ := startWithTwoMessages(t)
	h.want(h.call(remoting.RequestUpdateConsumerOffset, offsetFields(0).with("commitOffset", "5"), nil), remoting.ResponseSuccess)
	h.wantBody(remoting.RequestGetAllConsumerOffset, nil,
		`{"dataVersion":{"counter":2,"stateVersion":0,"timestamp":1700000100000},"offsetTable":{"T@CG":{0:5,1:1}}}`)
}

func TestRuntimeInfoHasWhatToolsRead(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *Config) {
		c.Clock = func() time.Time { return time.UnixMilli(1700000000000) }
		c.Space = func() (uint64, uint64, error) { return 4 << 30, 1 << 30, nil }
		c.Properties = "a=1\nb=2\n"
	})
	h.send(0, "a", "x")
	h.want(h.pull(pullFields(0, 0)), remoting.ResponseSuccess)
	var body struct{ Table map[string]string }
	got := h.want(h.call(remoting.RequestGetBrokerRuntimeInfo, nil, nil), remoting.ResponseSuccess)
	if err := json.Unmarshal(got.Body, &body); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"brokerVersionDesc": "V5_3_3", "brokerVersion": "479", "apogeeGathers": "true", "brokerActive": "true", "putTps": "0 0 0", "getTransferredTps": "0 0 0",
		"getTransferedTps":    "0 0 0",
		"msgPutTotalTodayNow": "1", "msgGetTotalTodayNow": "1", "msgPutTotalTodayMorning": "0", "msgGetTotalYesterdayMorning": "0",
		"sendThreadPoolQueueSize": "0", "pullThreadPoolQueueHeadWaitTimeMills": "0", "ackThreadPoolQueueSize": "0",
		"earliestMessageTimeStamp": "1700000000001", "commitLogDiskRatio": "0.75", "bootTimestamp": "1700000000000",
		"commitLogDirCapacity": "Total : 4.0 GiB, Free : 1.0 GiB.", "runtime": "[ 0 days, 0 hours, 0 minutes, 0 seconds ]", "timerEnqueueTps": "0.0",
	} {
		if body.Table[key] != want {
			t.Errorf("%s is %q, want %q", key, body.Table[key], want)
		}
	}
	config := h.want(h.call(remoting.RequestGetBrokerConfig, nil, nil), remoting.ResponseSuccess)
	if string(config.Body) != "a=1\nb=2\n" || config.Text("version") != `{"counter":0,"stateVersion":0,"timestamp":1700000000000}` {
		t.Errorf("configuration %q, version %s", config.Body, config.Text("version"))
	}
}

func TestRatesAreTakenOverTheirWindows(t *testing.T) {
	t.Parallel()
	var h history
	at := time.Date(2026, 2, 28, 23, 50, 0, 0, time.UTC)
	stored := func(s sample) uint64 { return s.stored }
	h.add(sample{at: at})
	if got := h.rates(stored); got != "0 0 0" {
		t.Errorf("rates of one sample %q", got)
	}
	for second := 1; second <= 700; second++ {
		n := uint64(2 * second)
		if second > 650 {
			n = 1300 + 10*uint64(second-650)
		}
		h.add(sample{at: at.Add(time.Duration(second) * time.Second), stored: n})
	}
	// The last 50 s had 10 messages a second, all before had 2.
	if got := h.rates(stored); got != "10 8.666666666666666 2.6666666666666665" {
		t.Errorf("rates %q", got)
	}
	if yesterday, today := h.mornings(); yesterday.stored != 0 || today.stored != 1200 {
		t.Errorf("mornings with %d and %d messages", yesterday.stored, today.stored)
	}
}

func TestRateOfATopicIsTakenFromItsCounter(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	m := h.broker.metrics
	h.send(0, "a", "x")
	h.want(h.pull(pullFields(0, 0)), remoting.ResponseSuccess)
	h.answered(func() bool { return m.flows.count() == 2 })
	at := time.Now().Add(time.Hour)
	m.measure(at)
	h.send(0, "a", "x")
	h.send(0, "a", "x")
	h.want(h.pull(pullFields(0, 1)), remoting.ResponseSuccess)
	h.answered(func() bool { return m.totals.transferred.Load() == 3 && m.totals.stored.Load() == 3 })
	m.measure(at.Add(rateWindow))
	if in, out := m.rateIn("T"), m.rateOut("T", "CG"); in != 0.2 || out != 0.2 {
		t.Errorf("%v messages a second in and %v out, want 0.2", in, out)
	}
	item := `{"avgpt":1.0,"sum":2,"tps":0.2}`
	none := `{"avgpt":0.0,"sum":0,"tps":0.0}`
	for _, f := range []fields{{"statsName": "TOPIC_PUT_NUMS", "statsKey": "T"}, {"statsName": "GROUP_GET_NUMS", "statsKey": "T@CG"}} {
		h.wantBody(remoting.RequestViewBrokerStatsData, f, `{"statsDay":`+none+`,"statsHour":`+none+`,"statsMinute":`+item+`}`)
	}
	for _, name := range []string{"TOPIC_PUT_SIZE", "GROUP_GET_SIZE", "BROKER_PUT_NUMS", "BROKER_GET_NUMS"} {
		key := map[bool]string{true: "T@CG", false: "T"}[name == "GROUP_GET_SIZE"]
		h.want(h.call(remoting.RequestViewBrokerStatsData, fields{"statsName": name, "statsKey": key}, nil), remoting.ResponseSuccess)
	}
	for _, f := range []fields{{"statsName": "TOPIC_PUT_NUMS", "statsKey": "None"}, {"statsName": "GROUP_GET_NUMS", "statsKey": "T"}, {}} {
		h.want(h.call(remoting.RequestViewBrokerStatsData, f, nil), remoting.ResponseSystemError)
	}
	m.measure(at.Add(2 * rateWindow))
	if in := m.rateIn("T"); in != 0 {
		t.Errorf("%v messages a second while none came", in)
	}
}

// answered waits until something holds that follows an answer.
func (h *harness) answered(holds func() bool) {
	h.Helper()
	for deadline := time.Now().Add(patience); !holds(); {
		if time.Now().After(deadline) {
			h.Fatal("it doesn't come to hold")
		}
		h.call(remoting.RequestGetMaxOffset, fields{"topic": "T", "queueId": "0"}, nil) // lets others run
	}
}

func TestTheWindowsOfStatsAreThoseOfRocketMQ(t *testing.T) {
	t.Parallel()
	p := newPastCounts()
	const steps = 2 * dayEvery * daySamples
	for i := range steps {
		p.add(counts{messages: uint64(i), bytes: uint64(10 * i)}, int64(i)*rateWindow.Milliseconds())
	}
	for _, c := range []struct {
		w       *window
		seconds int64
	}{{&p.minute, 60}, {&p.hour, 3600}, {&p.day, 86400}} {
		change, millis := c.w.change()
		if millis != c.seconds*1000 || change.messages != uint64(c.seconds/10) || change.bytes != 10*change.messages {
			t.Errorf("window of %d s: %+v in %d ms", c.seconds, change, millis)
		}
	}
}
