package node

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metrics"

	"github.com/apogeemq/apogee/server/remoting"
)

func TestAnswersAreMeasuredByCodesAndBounded(t *testing.T) {
	t.Parallel()
	set := metrics.NewSet()
	c := DefaultConfig()
	l := newRPCLatency(set, &c)
	l.observe(remoting.RequestSendMessageV2, remoting.ResponseSuccess, 4*time.Millisecond)
	l.observe(remoting.RequestSendMessageV2, remoting.ResponseSuccess, 500*time.Microsecond)
	for code := range int32(1000) {
		l.observe(1_000_000+code, remoting.ResponseRequestCodeNotSupported, 0)
		l.observe(remoting.RequestGetConsumerRunningInfo, 1_000_000+code, 0)
	}
	var text strings.Builder
	set.WritePrometheus(&text)
	labels := `{cluster="DefaultCluster",node_type="broker",node_id="broker-a",protocol_type="remoting",request_code="%s",response_code="%s",result="success",le="%s"} %d`
	for _, want := range []string{
		fmt.Sprintf(labels, "send_message_v2", "success", "1", 1), fmt.Sprintf(labels, "send_message_v2", "success", "5", 2),
		fmt.Sprintf(labels, "unknown", "request_code_not_supported", "1", 1000),
		fmt.Sprintf(labels, "get_consumer_running_info", "unknown", "+Inf", 1000),
	} {
		if !strings.Contains(text.String(), "rocketmq_rpc_latency_bucket"+want+"\n") {
			t.Errorf("no line %s in\n%.3000s", want, text.String())
		}
	}
	if n := strings.Count(text.String(), "_count{"); n != 3 {
		t.Errorf("%d histograms, want 3", n)
	}
}

func BenchmarkObserve(b *testing.B) {
	c := DefaultConfig()
	l := newRPCLatency(metrics.NewSet(), &c)
	b.ReportAllocs()
	for b.Loop() {
		l.observe(remoting.RequestSendMessageV2, remoting.ResponseSuccess, time.Millisecond)
	}
}
