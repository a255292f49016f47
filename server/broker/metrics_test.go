package broker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/server/remoting"
)

func (h *harness) metrics() string {
	var b strings.Builder
	h.broker.WriteMetrics(&b)
	return b.String()
}

// wantMetrics checks for lines, in which NODE stands for the labels of the node.
func (h *harness) wantMetrics(lines ...string) {
	h.Helper()
	text := h.metrics()
	for _, line := range lines {
		line = strings.Replace(line, "NODE", `cluster="DefaultCluster",node_type="broker",node_id="broker-a"`, 1)
		if !strings.Contains(text, line+"\n") {
			name, _, _ := strings.Cut(line, "{")
			var near []string
			for have := range strings.Lines(text) {
				if strings.HasPrefix(have, name) {
					near = append(near, have)
				}
			}
			h.Errorf("no line %s; there are\n%s", line, strings.Join(near, ""))
		}
	}
}

func TestMetricsHaveRocketMQsNamesAndLabels(t *testing.T) {
	t.Parallel()
	var now time.Time
	h := start(t, func(c *Config) {
		now = time.UnixMilli(1700000100000)
		c.Clock = func() time.Time { return now }
	})
	h.want(h.call(remoting.RequestHeartBeat, nil, []byte(fullHeartbeat)), remoting.ResponseSuccess)
	for range 3 {
		h.send(1, "TagA", "x")
	}
	var oldest int64
	h.log.with(func(l *fakeLog) { oldest = l.queues[event.Queue{Topic: h.topicID("T"), ID: 1}][1].timestamp })
	h.want(h.call(remoting.RequestSendMessageV2, sendFields(0).with("i", "__SHARDINGKEY\x01s\x02"), []byte(strings.Repeat("z", 2000))), remoting.ResponseSuccess)
	h.want(h.call(remoting.RequestSendMessageV2, sendFields(0).with("i", "DELAY\x013\x02"), []byte("later")), remoting.ResponseSuccess)
	h.want(h.pull(pullFields(1, 0).with("maxMsgNums", "2")), remoting.ResponseSuccess)
	h.commitAs("CG", 1, 1)
	h.commitAs("CG", 0, 1)
	h.answered(func() bool { return h.broker.metrics.totals.stored.Load() == 5 && h.broker.metrics.flows.count() == 4 })
	pair := `{NODE,consumer_group="CG",topic="T",is_retry="false",is_system="false"} `
	h.wantMetrics(
		`rocketmq_messages_in_total{NODE,topic="T",message_type="normal",is_system="false"} 3`,
		`rocketmq_messages_in_total{NODE,topic="T",message_type="fifo",is_system="false"} 1`,
		`rocketmq_messages_in_total{NODE,topic="T",message_type="delay",is_system="false"} 1`,
		`rocketmq_message_size_bucket{NODE,topic="T",message_type="normal",is_system="false",le="1024"} 3`,
		`rocketmq_message_size_bucket{NODE,topic="T",message_type="fifo",is_system="false",le="1024"} 0`,
		`rocketmq_message_size_bucket{NODE,topic="T",message_type="fifo",is_system="false",le="4096"} 1`,
		`rocketmq_messages_out_total{NODE,topic="T",consumer_group="CG",is_retry="false",is_system="false"} 2`,
		`rocketmq_producer_connections{NODE,language="java",version="479",protocol_type="remoting"} 1`,
		`rocketmq_consumer_connections{NODE,consumer_group="CG",language="java",version="479",consume_mode="push",protocol_type="remoting",is_system="false"} 1`,
		"rocketmq_consumer_lag_messages"+pair+"2",
		"rocketmq_consumer_inflight_messages"+pair+"1",
		"rocketmq_consumer_ready_messages"+pair+"1",
		"rocketmq_consumer_lag_latency"+pair+textOf(now.UnixMilli()-oldest),
		`rocketmq_broker_permission{NODE} 6`,
		`rocketmq_processor_watermark{NODE,processor="send"} 0`,
		`apogee_broker_send_seconds_count 5`,
	)
	h.wantBody(remoting.RequestGetConsumeStats, fields{"consumerGroup": "CG", "topic": "T"}, h.consumeStatsWithPullOffset())
}

// consumeStatsWithPullOffset is what the group of the test above has.
func (h *harness) consumeStatsWithPullOffset() string {
	var times [2]string
	h.log.with(func(l *fakeLog) {
		for i := range times {
			times[i] = textOf(l.queues[event.Queue{Topic: h.topicID("T"), ID: uint32(i)}][0].timestamp)
		}
	})
	entry := func(broker, consumer int, at string, pulled int) string {
		return fmt.Sprintf(`{"brokerOffset":%d,"consumerOffset":%d,"lastTimestamp":%s,"pullOffset":%d}`, broker, consumer, at, pulled)
	}
	return `{"consumeTps":0.0,"offsetTable":{` + mq(0) + `:` + entry(1, 1, times[0], 1) + `,` + mq(1) + `:` + entry(3, 1, times[1], 2) + `,` +
		mq(2) + `:` + entry(0, 0, "0", 0) + `,` + mq(3) + `:` + entry(0, 0, "0", 0) + `}}`
}

func TestDeletedTopicsAndGroupsLeaveNoMetrics(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.heartbeat(h.client, "c1", "CG", map[string]string{"T": "*"})
	h.send(0, "a", "x")
	h.want(h.pull(pullFields(0, 0)), remoting.ResponseSuccess)
	h.want(h.end(h.sendHalf(0, "H1"), endCommit), remoting.ResponseSuccess)
	h.answered(func() bool { return h.broker.metrics.flows.count() == 4 })
	h.broker.forgetGone()
	if h.broker.metrics.flows.count() != 4 || len(h.broker.pulled.table) != 1 {
		t.Error("what is there was forgotten")
	}
	h.want(h.call(remoting.RequestDeleteTopicInBroker, fields{"topic": "T"}, nil), remoting.ResponseSuccess)
	h.broker.forgetGone()
	if text := h.metrics(); strings.Contains(text, `topic="T"`) || len(h.broker.pulled.table) != 0 {
		t.Errorf("metrics of a deleted topic are left:\n%s", text)
	}
	// The topic comes again: what is counted now is shown.
	h.createTopic(TopicSettings{Name: "T", ReadQueues: 4, WriteQueues: 4, Permission: 6})
	h.send(0, "a", "x")
	h.answered(func() bool { return h.broker.metrics.flows.count() == 1 })
	h.wantMetrics(`rocketmq_messages_in_total{NODE,topic="T",message_type="normal",is_system="false"} 1`)
}

func TestTheLabelsOfMetricsAreBounded(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *Config) { c.Limits.MeasuredPairs = 3 })
	for i := range 10 {
		h.want(h.call(remoting.RequestSendMessageV2, sendFields(0).with("b", fmt.Sprint("T", i)), []byte("x")), remoting.ResponseSuccess)
	}
	h.answered(func() bool { return h.broker.metrics.totals.stored.Load() == 10 })
	if n := h.broker.metrics.flows.count(); n != 4 {
		t.Errorf("%d topics have metrics, want 3 and one for all others", n)
	}
	h.wantMetrics(`rocketmq_messages_in_total{NODE,topic="_other",message_type="normal",is_system="false"} 7`)
}
