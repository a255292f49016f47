package node

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/server/nameserver"
	"github.com/apogeemq/apogee/server/remoting"
)

// meters are metrics of a node or of a shard, in a set of their own, so that
// there may be several in a process.
type meters struct {
	set   *metrics.Set
	label string // broker="…", where there are several in the process

	mu      sync.Mutex
	writers []func(io.Writer) // of parts with sets of their own
}

func newMeters() *meters { return &meters{set: metrics.NewSet()} }

// info says what runs here.
func (m *meters) info(version string, c *Config) {
	m.set.NewGauge(fmt.Sprintf(`apogee_node_info{version=%q,role=%q,broker=%q,cluster=%q,flush=%q}`,
		version, c.role, c.BrokerName, c.ClusterName, c.FlushDisk), func() float64 { return 1 })
}

func (m *meters) add(write func(io.Writer)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.writers = append(m.writers, write)
}

// rpcBuckets are those of RocketMQ's rocketmq_rpc_latency, in milliseconds.
var rpcBuckets = []float64{1, 3, 5, 7, 10, 100, 1000, 2000, 3000}

// rpcLatency measures answers by request and response code. Codes that mean
// nothing to RocketMQ share one label.
type rpcLatency struct {
	set    *metrics.Set
	labels string

	mu    sync.Mutex
	found atomic.Pointer[map[rpcCodes]*metrics.PrometheusHistogram] // replaced, never changed
}

type rpcCodes struct{ request, response int32 }

func newRPCLatency(set *metrics.Set, c *Config) *rpcLatency {
	l := &rpcLatency{set: set}
	l.labels = fmt.Sprintf(`cluster=%q,node_type="broker",node_id=%q,protocol_type="remoting"`, c.ClusterName, c.BrokerName)
	l.found.Store(&map[rpcCodes]*metrics.PrometheusHistogram{})
	return l
}

// observe counts an answer.
func (l *rpcLatency) observe(request, response int32, took time.Duration) {
	h := (*l.found.Load())[rpcCodes{request, response}]
	if h == nil {
		h = l.add(rpcCodes{request, response})
	}
	h.Update(float64(took) / float64(time.Millisecond))
}

// rpcCodesMax bounds the pairs of codes that are remembered. Clients choose
// request codes; those without a name share a label and are looked up anew.
const rpcCodesMax = 4096

func (l *rpcLatency) add(codes rpcCodes) *metrics.PrometheusHistogram {
	request, response := remoting.RequestName(codes.request), remoting.ResponseName(codes.response)
	unknown := false
	for name, code := range map[*string]int32{&request: codes.request, &response: codes.response} {
		if *name == strconv.Itoa(int(code)) {
			*name, unknown = "unknown", true
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.set.GetOrCreatePrometheusHistogramExt(fmt.Sprintf(`rocketmq_rpc_latency{%s,request_code=%q,response_code=%q,result="success"}`,
		l.labels, request, response), rpcBuckets)
	known := *l.found.Load()
	if !unknown && len(known) < rpcCodesMax {
		next := maps.Clone(known)
		next[codes] = h
		l.found.Store(&next)
	}
	return h
}

// observe shows the connections of a listener.
func (m *meters) observe(name string, s *remoting.Server) {
	gauge := func(metric string, value func(remoting.Stats) float64) {
		m.set.NewGauge(fmt.Sprintf("apogee_remoting_%s{listener=%q}", metric, name), func() float64 { return value(s.Stats()) })
	}
	gauge("connections", func(s remoting.Stats) float64 { return float64(s.Connections) })
	gauge("connections_accepted_total", func(s remoting.Stats) float64 { return float64(s.Accepted) })
	gauge("connections_refused_total", func(s remoting.Stats) float64 { return float64(s.Refused) })
	gauge("connections_tls", func(s remoting.Stats) float64 { return float64(s.Secure) })
	gauge("proxy_headers_distrusted_total", func(s remoting.Stats) float64 { return float64(s.Distrusted) })
	gauge("read_bytes_total", func(s remoting.Stats) float64 { return float64(s.BytesIn) })
	gauge("written_bytes_total", func(s remoting.Stats) float64 { return float64(s.BytesOut) })
	for _, reason := range remoting.EndReasons() {
		m.set.NewGauge(fmt.Sprintf("apogee_remoting_connections_closed_total{listener=%q,reason=%q}", name, reason),
			func() float64 { return float64(s.Stats().Ended[reason]) })
	}
}

// observeEngine shows the marks of the log.
func (m *meters) observeEngine(e *engine.Engine) {
	for name, value := range map[string]func(engine.Marks) uint64{
		"trimmed":   func(m engine.Marks) uint64 { return uint64(m.Trimmed) },
		"applied":   func(m engine.Marks) uint64 { return uint64(m.Applied) },
		"committed": func(m engine.Marks) uint64 { return uint64(m.Committed) },
		"durable":   func(m engine.Marks) uint64 { return uint64(m.Durable) },
		"written":   func(m engine.Marks) uint64 { return uint64(m.Written) },
		"appended":  func(m engine.Marks) uint64 { return uint64(m.Appended) },
	} {
		m.set.NewGauge(fmt.Sprintf("apogee_engine_mark_index{mark=%q}", name), func() float64 { return float64(value(e.Marks())) })
	}
	m.set.NewGauge("apogee_engine_applied_position_bytes", func() float64 { return float64(e.Marks().AppliedPosition) })
}

// observeRegistrar shows how many nameservers know the broker.
func (m *meters) observeRegistrar(r *nameserver.Registrar) {
	m.set.NewGauge("apogee_node_registered_nameservers", func() float64 { return float64(r.Registered()) })
}

// write writes them in Prometheus' text format.
func (m *meters) write(w io.Writer) {
	if m.label == "" {
		m.writeAll(w)
		return
	}
	var plain bytes.Buffer
	m.writeAll(&plain)
	_, _ = w.Write(labelled(plain.Bytes(), m.label)) // a scraper that is gone misses nothing
}

// labelled puts a label before those of every sample that hasn't one of its
// name.
func labelled(samples []byte, label string) []byte {
	name, _, _ := strings.Cut(label, "=")
	out := make([]byte, 0, len(samples)+len(samples)/4)
	for line := range bytes.Lines(samples) {
		at := bytes.IndexAny(line, "{ ")
		switch {
		case at < 0 || line[0] == '#' || hasLabel(line[at:], name):
			out = append(out, line...)
		case line[at] == '{':
			out = append(append(append(append(out, line[:at+1]...), label...), ','), line[at+1:]...)
		default:
			out = append(append(append(append(append(out, line[:at]...), '{'), label...), '}'), line[at:]...)
		}
	}
	return out
}

// hasLabel looks for a label by its name.
func hasLabel(labels []byte, name string) bool {
	return bytes.Contains(labels, []byte("{"+name+`="`)) || bytes.Contains(labels, []byte(","+name+`="`))
}

func (m *meters) writeAll(w io.Writer) {
	m.set.WritePrometheus(w)
	m.mu.Lock()
	writers := m.writers
	m.mu.Unlock()
	for _, write := range writers {
		write(w)
	}
}

// writeMetrics writes all metrics of the process.
func (n *Node) writeMetrics(w io.Writer) {
	n.metrics.write(w)
	for _, s := range n.hostedShards() {
		s.metrics.write(w)
	}
	metrics.WritePrometheus(w, true)
}
