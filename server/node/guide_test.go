package node

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/apogeemq/apogee/server/remoting"
)

// metricName is one of ours in Prometheus' text format, without what a
// histogram appends.
var metricName = regexp.MustCompile(`(?m)^((?:apogee|rocketmq)_\w+?)(?:_bucket|_sum|_count)?[{ ]`)

func TestTheOperationsGuideNamesEveryMetric(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	guide := string(text)
	n, _ := up(t, small(t, t.TempDir()))
	send(t, n, "T", "x")
	pulled := call(t, n.Addresses().Broker, remoting.RequestPullMessage, "", "consumerGroup", "G", "topic", "T", "queueId", "0",
		"queueOffset", "0", "maxMsgNums", "1", "sysFlag", "4", "commitOffset", "0", "suspendTimeoutMillis", "0", "subscription", "*", "subVersion", "0")
	if pulled.Code != remoting.ResponseSuccess {
		t.Fatalf("pull refused: %d %s", pulled.Code, pulled.Remark)
	}
	_, metrics := get(t, n, "/metrics")
	names := metricName.FindAllStringSubmatch(metrics, -1)
	if len(names) < 100 {
		t.Fatalf("%d metrics in\n%s", len(names), metrics)
	}
	seen := map[string]bool{}
	for _, found := range names {
		name := found[1]
		if seen[name] {
			continue
		}
		seen[name] = true
		// A table may have what all of its names begin with in its head.
		part := strings.SplitN(name, "_", 3)
		inTable := strings.Contains(guide, "`"+part[0]+"_"+part[1]+"_…`") && strings.Contains(guide, "`"+part[2])
		if !strings.Contains(guide, name) && !inTable {
			t.Errorf("docs/OPERATIONS.md doesn't name %s", name)
		}
	}
	down(t, n)
}
