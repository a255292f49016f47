package broker

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/server/remoting"
)

// brokerMetrics counts what the broker does. Names and labels that RocketMQ 5
// has are RocketMQ's; the others begin with apogee_broker_.
type brokerMetrics struct {
	set    *metrics.Set
	config *Config
	node   string // labels that all of RocketMQ's metrics have

	sendSeconds  *metrics.Histogram
	sendOutcomes map[int32]*metrics.Counter
	pullOutcomes map[int32]*metrics.Counter
	offsetEvents *metrics.Counter
	offsetsKept  *metrics.Counter
	offsetsLost  *metrics.Counter

	in map[event.TopicID]*flow // of the replier's goroutine

	totals  totals
	history history
	meters  sync.Map // pullPair → *meter
}

// flow counts messages and their bytes.
type flow struct{ messages, bytes *metrics.Counter }

// otherTopics is the label of topics past the limit of measured ones.
const otherTopics = "_other"

func newBrokerMetrics(c *Config) *brokerMetrics {
	m := &brokerMetrics{set: metrics.NewSet(), config: c, in: make(map[event.TopicID]*flow)}
	m.node = fmt.Sprintf(`cluster=%q,node_type="broker",node_id=%q`, c.ClusterName, c.BrokerName)
	m.sendSeconds = m.set.NewHistogram("apogee_broker_send_seconds")
	m.sendOutcomes, m.pullOutcomes = make(map[int32]*metrics.Counter), make(map[int32]*metrics.Counter)
	for _, code := range sendCodes {
		m.sendOutcomes[code] = m.set.NewCounter(fmt.Sprintf(`apogee_broker_sends_total{code="%d"}`, code))
	}
	for _, s := range []pullStatus{pullFound, pullNoMatch, pullAtEnd, pullBeyondEnd} {
		m.pullOutcomes[s.code] = m.set.NewCounter(fmt.Sprintf(`apogee_broker_pulls_total{code="%d"}`, s.code))
	}
	m.offsetEvents = m.set.NewCounter("apogee_broker_offset_events_total")
	m.offsetsKept = m.set.NewCounter("apogee_broker_offsets_committed_total")
	m.offsetsLost = m.set.NewCounter("apogee_broker_offset_events_failed_total")
	return m
}

// observe registers what is read when the metrics are.
func (m *brokerMetrics) observe(b *Broker) {
	gauge := func(name string, value func() int) {
		m.set.NewGauge(name, func() float64 { return float64(value()) })
	}
	gauge("apogee_broker_held_pulls", b.holds.held)
	gauge("apogee_broker_waiting_reads", b.reads.waiting)
	gauge("apogee_broker_sends_in_flight", func() int { return int(b.sender.inFlight.Load()) })
	gauge("rocketmq_producer_connections{"+m.node+"}", func() int { n, _ := b.clients.count(); return n })
	gauge("rocketmq_consumer_connections{"+m.node+"}", func() int { _, n := b.clients.count(); return n })
}

// WriteMetrics writes the broker's metrics in Prometheus' text format.
func (b *Broker) WriteMetrics(w io.Writer) { b.metrics.set.WritePrometheus(w) }

// sent counts a send that has its outcome. It runs on the replier's goroutine.
func (m *brokerMetrics) sent(r *sendRequest, code int32, now time.Time) {
	m.sendSeconds.Update(now.Sub(r.started).Seconds())
	m.sendOutcomes[code].Inc()
	if code == remoting.ResponseServiceNotAvailable {
		m.totals.failed.Add(1)
		return
	}
	f := m.in[r.topic.ID]
	if f == nil {
		f = m.inFlow(r.topic.Config.Name)
		m.in[r.topic.ID] = f
	}
	f.messages.Add(len(r.drafts))
	f.bytes.Add(r.bytes)
	m.totals.stored.Add(uint64(len(r.drafts)))
	m.totals.storedBytes.Add(uint64(r.bytes))
}

func (m *brokerMetrics) inFlow(topic string) *flow {
	if len(m.in) >= m.config.Limits.MeasuredPairs {
		clear(m.in)
		topic = otherTopics
	}
	labels := fmt.Sprintf(`{%s,topic=%q,message_type="normal",is_system="%t"}`, m.node, topic, isSystemTopic(topic))
	f := &flow{
		messages: m.set.GetOrCreateCounter("rocketmq_messages_in_total" + labels),
		bytes:    m.set.GetOrCreateCounter("rocketmq_throughput_in_total" + labels),
	}
	m.meter(pullPair{topic: topic}, f)
	return f
}

// pulled counts an answered pull.
func (m *brokerMetrics) pulled(code int32) {
	m.pullOutcomes[code].Inc()
	if code == remoting.ResponseSuccess {
		m.totals.found.Add(1)
	} else {
		m.totals.missed.Add(1)
	}
}

// refused counts a request that was answered with an error.
func (m *brokerMetrics) refused(code int32) {
	m.set.GetOrCreateCounter(fmt.Sprintf(`apogee_broker_refusals_total{code="%d"}`, code)).Inc()
}

// committed counts an event with consumer offsets.
func (m *brokerMetrics) committed(count int, err error) {
	if err != nil {
		m.offsetsLost.Inc()
		return
	}
	m.offsetEvents.Inc()
	m.offsetsKept.Add(count)
}

// pullMeasures counts what one reader of the pool has delivered.
type pullMeasures struct {
	metrics *brokerMetrics
	flows   map[pullPair]*flow
}

type pullPair struct{ topic, group string }

func (m *brokerMetrics) newPullMeasures() *pullMeasures {
	return &pullMeasures{metrics: m, flows: make(map[pullPair]*flow)}
}

// out counts the messages of one answer.
func (p *pullMeasures) out(r *pullRequest, messages, bytes int) {
	pair := pullPair{r.topic, r.group}
	f := p.flows[pair]
	if f == nil {
		if len(p.flows) >= p.metrics.config.Limits.MeasuredPairs {
			pair = pullPair{otherTopics, otherTopics}
		}
		if f = p.flows[pair]; f == nil {
			f = p.metrics.outFlow(pair)
			p.flows[pair] = f
		}
	}
	f.messages.Add(messages)
	f.bytes.Add(bytes)
	p.metrics.totals.transferred.Add(uint64(messages))
}

func (m *brokerMetrics) outFlow(pair pullPair) *flow {
	labels := fmt.Sprintf(`{%s,topic=%q,consumer_group=%q,is_retry="%t",is_system="%t"}`,
		m.node, pair.topic, pair.group, strings.HasPrefix(pair.topic, retryPrefix), isSystemTopic(pair.topic))
	f := &flow{
		messages: m.set.GetOrCreateCounter("rocketmq_messages_out_total" + labels),
		bytes:    m.set.GetOrCreateCounter("rocketmq_throughput_out_total" + labels),
	}
	m.meter(pair, f)
	return f
}
