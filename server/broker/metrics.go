package broker

import (
	"fmt"
	"io"
	"strings"
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

	sendSeconds  *metrics.PrometheusHistogram
	sendOutcomes map[int32]*metrics.Counter
	pullOutcomes map[int32]*metrics.Counter
	offsetEvents *metrics.Counter
	offsetsKept  *metrics.Counter
	offsetsLost  *metrics.Counter

	deliveriesKept *metrics.Counter
	deliveriesLost *metrics.Counter

	checksSent   *metrics.Counter
	checksUnsent *metrics.Counter
	abandoned    *metrics.Counter
	retried      *metrics.Counter
	dead         *metrics.Counter
	repliesGiven *metrics.Counter
	repliesLost  *metrics.Counter

	flows *flows
	in    *flowCache[inKey] // of the replier

	totals  totals
	history history
	past    *pastCounts // of all messages stored
	pastOut *pastCounts // of all messages pulled
}

// flow counts messages and their bytes.
type flow struct {
	messages, bytes *metrics.Counter
	sizes           *metrics.PrometheusHistogram // of stored messages, nil for pulled ones
	names           []string                     // in the set, "" for those that are not shown

	past *pastCounts // of the rate sampler, under its lock
}

// inKey is how the replier knows what it counts together.
type inKey struct {
	topic event.TopicID
	kind  messageKind
}

// messageKind is RocketMQ's TopicMessageType.
type messageKind uint8

const (
	kindNormal      messageKind = iota
	kindFIFO                    // has a sharding key
	kindDelay                   // has a delay level or a time
	kindTransaction             // a half message; its commit counts no more
)

var messageKinds = [...]string{kindNormal: "normal", kindFIFO: "fifo", kindDelay: "delay", kindTransaction: "transaction"}

func (k messageKind) String() string { return messageKinds[k] }

// otherTopics is the label of topics and groups past the limit of measured ones.
const otherTopics = "_other"

// Upper bounds of histograms: message sizes as in RocketMQ, and seconds.
var (
	sizeBuckets    = []float64{1 << 10, 4 << 10, 512 << 10, 1 << 20, 2 << 20, 4 << 20}
	secondsBuckets = []float64{.0001, .0002, .0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5}
)

func newBrokerMetrics(c *Config) *brokerMetrics {
	m := &brokerMetrics{set: metrics.NewSet(), config: c, past: newPastCounts(), pastOut: newPastCounts()}
	m.node = fmt.Sprintf(`cluster=%q,node_type="broker",node_id=%q`, c.ClusterName, c.BrokerName)
	m.sendSeconds = m.set.NewPrometheusHistogramExt("apogee_broker_send_seconds", secondsBuckets)
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
	m.deliveriesKept = m.set.NewCounter(`apogee_broker_tracked_deliveries_total{recorded="true"}`)
	m.deliveriesLost = m.set.NewCounter(`apogee_broker_tracked_deliveries_total{recorded="false"}`)
	m.flows = newFlows(c.Limits.MeasuredPairs, m.newFlow, m.dropFlow)
	m.in = newFlowCache[inKey](m.flows)
	m.checksSent = m.set.NewCounter(`apogee_broker_transaction_checks_total{result="sent"}`)
	m.checksUnsent = m.set.NewCounter(`apogee_broker_transaction_checks_total{result="no_producer"}`)
	m.abandoned = m.set.NewCounter("apogee_broker_transactions_abandoned_total")
	m.retried = m.set.NewCounter(`apogee_broker_sent_back_total{to="retry"}`)
	m.dead = m.set.NewCounter(`apogee_broker_sent_back_total{to="dead letters"}`)
	m.repliesGiven = m.set.NewCounter(`apogee_broker_replies_total{delivered="true"}`)
	m.repliesLost = m.set.NewCounter(`apogee_broker_replies_total{delivered="false"}`)
	return m
}

// sentBack counts a message that a group has sent back and that is stored.
func (m *brokerMetrics) sentBack(topic, group string, dead bool) {
	if dead {
		m.dead.Inc()
		m.flows.find(flowKey{topic: topic, group: group, event: buried}).messages.Inc()
		return
	}
	m.retried.Inc()
}

// replied counts a reply that was given to whoever asked, or could not be.
func (m *brokerMetrics) replied(err error) {
	if err != nil {
		m.repliesLost.Inc()
		return
	}
	m.repliesGiven.Inc()
}

// observe registers what is read when the metrics are.
func (m *brokerMetrics) observe(b *Broker) {
	gauge := func(name string, value func() int) {
		m.set.NewGauge(name, func() float64 { return float64(value()) })
	}
	gauge("apogee_broker_held_pulls", b.holds.held)
	gauge("apogee_broker_waiting_reads", b.reads.waiting)
	gauge("apogee_broker_queue_locks", b.locks.counted)
	gauge("apogee_broker_sends_in_flight", func() int { return int(b.sender.inFlight.Load()) })
	gauge("apogee_broker_measured_pairs", m.flows.count)
	gauge("apogee_broker_gathered_offsets", b.commits.gathered)
	gauge("rocketmq_broker_permission{"+m.node+"}", func() int { return b.live.get().permission })
	gauge("rocketmq_topic_number{"+m.node+"}", func() int { return len(b.topics.All()) })
	gauge("rocketmq_consumer_group_number{"+m.node+"}", func() int { return len(b.groups.All()) })
	for processor, waiting := range map[string]func() int{
		"send": func() int { return int(b.sender.inFlight.Load()) }, "pull": b.reads.waiting,
		"admin": b.registry.waitingRequests, "consumer_manager": b.commits.gathered,
	} {
		gauge(fmt.Sprintf("rocketmq_processor_watermark{%s,processor=%q}", m.node, processor), waiting)
	}
	gauge("apogee_broker_half_messages", func() int { return int(b.waiting.Counts().Half) })
	m.set.NewGauge("apogee_broker_half_message_oldest_seconds", b.oldestHalfSeconds)
}

// WriteMetrics writes the broker's metrics in Prometheus' text format.
func (b *Broker) WriteMetrics(w io.Writer) {
	b.metrics.set.WritePrometheus(w)
	b.metrics.writeConnections(w, b.clients)
	b.metrics.writeLag(w, b.lag())
}

// writeConnections writes how many connections each kind of client has.
func (m *brokerMetrics) writeConnections(w io.Writer, c *clients) {
	producers, consumers := c.census(m.config.Limits.MeasuredPairs)
	for _, p := range producers {
		metrics.WriteGaugeUint64(w, fmt.Sprintf(`rocketmq_producer_connections{%s,language=%q,version="%d",protocol_type="remoting"}`,
			m.node, strings.ToLower(remoting.LanguageName(p.language)), p.version), uint64(p.count))
	}
	for _, p := range consumers {
		metrics.WriteGaugeUint64(w, fmt.Sprintf(
			`rocketmq_consumer_connections{%s,consumer_group=%q,language=%q,version="%d",consume_mode=%q,protocol_type="remoting",is_system="%t"}`,
			m.node, p.group, strings.ToLower(remoting.LanguageName(p.language)), p.version, p.mode, isSystemGroup(p.group)), uint64(p.count))
	}
}

// writeLag writes how far groups are behind.
func (m *brokerMetrics) writeLag(w io.Writer, list []groupLag) {
	for _, l := range list {
		labels := fmt.Sprintf(`{%s,consumer_group=%q,topic=%q,is_retry="%t",is_system="%t"}`,
			m.node, l.group, l.topic, strings.HasPrefix(l.topic, retryPrefix), isSystemTopic(l.topic) || isSystemGroup(l.group))
		metrics.WriteGaugeUint64(w, "rocketmq_consumer_lag_messages"+labels, uint64(l.messages))
		metrics.WriteGaugeUint64(w, "rocketmq_consumer_lag_latency"+labels, uint64(l.millis))
		metrics.WriteGaugeUint64(w, "rocketmq_consumer_inflight_messages"+labels, uint64(l.inFlight))
		metrics.WriteGaugeUint64(w, "rocketmq_consumer_ready_messages"+labels, uint64(l.ready))
	}
}

// newFlow makes the counters of k. As in RocketMQ, those of retry and dead
// letter topics are not shown.
func (m *brokerMetrics) newFlow(k flowKey) *flow {
	f := &flow{past: newPastCounts()}
	internal := strings.HasPrefix(k.topic, retryPrefix) || strings.HasPrefix(k.topic, deadPrefix)
	switch {
	case k.event != "":
		f.names = []string{fmt.Sprintf("rocketmq_%s_messages_total{%s}", k.event, m.labelsOf(k))}
		f.messages, f.bytes = m.set.GetOrCreateCounter(f.names[0]), new(metrics.Counter)
	case internal && k.group == "" && strings.HasPrefix(k.topic, deadPrefix):
		group := k.topic[len(deadPrefix):]
		dead := flowKey{topic: retryPrefix + group, group: group, event: buried}
		f.names = []string{fmt.Sprintf("rocketmq_%s_messages_total{%s}", dead.event, m.labelsOf(dead))}
		f.messages, f.bytes = m.set.GetOrCreateCounter(f.names[0]), new(metrics.Counter)
	case internal:
		f.messages, f.bytes = new(metrics.Counter), new(metrics.Counter)
	case k.group == "":
		labels := fmt.Sprintf(`{%s,topic=%q,message_type=%q,is_system="%t"}`, m.node, k.topic, k.kind.String(), isSystemTopic(k.topic))
		f.names = []string{"rocketmq_messages_in_total" + labels, "rocketmq_throughput_in_total" + labels, "rocketmq_message_size" + labels}
		f.messages, f.bytes = m.set.GetOrCreateCounter(f.names[0]), m.set.GetOrCreateCounter(f.names[1])
		f.sizes = m.set.GetOrCreatePrometheusHistogramExt(f.names[2], sizeBuckets)
	default:
		labels := fmt.Sprintf(`{%s,topic=%q,consumer_group=%q,is_retry="false",is_system="%t"}`,
			m.node, k.topic, k.group, isSystemTopic(k.topic) || isSystemGroup(k.group))
		f.names = []string{"rocketmq_messages_out_total" + labels, "rocketmq_throughput_out_total" + labels}
		f.messages, f.bytes = m.set.GetOrCreateCounter(f.names[0]), m.set.GetOrCreateCounter(f.names[1])
	}
	return f
}

// labelsOf are the labels of an event.
func (m *brokerMetrics) labelsOf(k flowKey) string {
	if k.event != buried {
		return fmt.Sprintf(`%s,topic=%q`, m.node, k.topic)
	}
	return fmt.Sprintf(`%s,consumer_group=%q,topic=%q,is_system="%t"`, m.node, k.group, k.topic, isSystemTopic(k.topic) || isSystemGroup(k.group))
}

func (m *brokerMetrics) dropFlow(f *flow) {
	for _, name := range f.names {
		m.set.UnregisterMetric(name)
	}
}

func (f *flow) counts() counts { return counts{f.messages.Get(), f.bytes.Get()} }

// sent counts a send that has its outcome. It runs on the replier's goroutine.
func (m *brokerMetrics) sent(r *sendRequest, code int32, now time.Time) {
	m.sendSeconds.Update(now.Sub(r.started).Seconds())
	m.sendOutcomes[code].Inc()
	if code == remoting.ResponseServiceNotAvailable {
		m.totals.failed.Add(1)
		return
	}
	f := m.in.find(inKey{r.topic.ID, r.kind})
	if f == nil {
		f = m.in.learn(inKey{r.topic.ID, r.kind}, flowKey{topic: r.topic.Config.Name, kind: r.kind})
	}
	f.messages.Add(len(r.drafts))
	f.bytes.Add(r.bytes)
	if f.sizes != nil {
		f.sizes.Update(float64(r.bytes / len(r.drafts)))
	}
	m.totals.stored.Add(uint64(len(r.drafts)))
	m.totals.storedBytes.Add(uint64(r.bytes))
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
	flows   *flowCache[pullPair]
}

type pullPair struct{ topic, group string }

func (m *brokerMetrics) newPullMeasures() *pullMeasures {
	return &pullMeasures{metrics: m, flows: newFlowCache[pullPair](m.flows)}
}

// out counts the messages of one answer.
func (p *pullMeasures) out(r *pullRequest, messages, bytes int) {
	pair := pullPair{r.topic, r.group}
	f := p.flows.find(pair)
	if f == nil {
		f = p.flows.learn(pair, flowKey{topic: r.topic, group: r.group})
	}
	f.messages.Add(messages)
	f.bytes.Add(bytes)
	p.metrics.totals.transferred.Add(uint64(messages))
}
