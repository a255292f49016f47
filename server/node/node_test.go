package node

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apogeemq/apogee/replication/transport/porttest"
	"github.com/apogeemq/apogee/server/nameserver"
	"github.com/apogeemq/apogee/server/remoting"
)

// patience bounds every wait of the tests.
const patience = 30 * time.Second

// lines collects a node's log.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// small is a configuration for tests: free ports, small files.
func small(t *testing.T, dir string, more ...string) Config {
	t.Helper()
	c, err := Load("", append([]string{
		"listenPort=0", "namesrvListenPort=0", "adminListenPort=0", "storePathRootDir=" + dir,
		"mappedFileSizeCommitLog=33554432", "readCacheSize=1048576", "shutdownWaitTimeSeconds=10",
	}, more...))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// up starts a node. The test stops it, or the cleanup does.
func up(t *testing.T, c Config) (*Node, *lines) {
	t.Helper()
	log := &lines{}
	n, err := Start(t.Context(), c, Options{Version: "test", Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return n, log
}

func down(t *testing.T, n *Node) {
	t.Helper()
	if err := n.Stop(context.Background()); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func call(t *testing.T, address netip.AddrPort, code int32, body string, fields ...string) *remoting.Command {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client, err := remoting.Dial(ctx, address.String(), remoting.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	request := &remoting.Request{Code: code, Body: []byte(body)}
	for i := 0; i < len(fields); i += 2 {
		request.Set(fields[i], fields[i+1])
	}
	response, err := client.Call(ctx, request)
	if err != nil {
		t.Fatal(err)
	}
	return response
}

func send(t *testing.T, n *Node, topic, body string) *remoting.Command {
	t.Helper()
	return sendTo(t, n.Addresses().Broker, topic, body)
}

func sendTo(t *testing.T, address netip.AddrPort, topic, body string) *remoting.Command {
	t.Helper()
	response := call(t, address, remoting.RequestSendMessageV2, body, "a", "PG", "b", topic, "c", "TBW102",
		"d", "4", "e", "0", "f", "0", "g", "1700000000000", "h", "0", "i", "", "j", "0", "k", "false", "m", "false")
	if response.Code != remoting.ResponseSuccess {
		t.Fatalf("send refused: %d %s", response.Code, response.Remark)
	}
	return response
}

func get(t *testing.T, n *Node, path string) (int, string) {
	t.Helper()
	client := http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	response, err := client.Get(fmt.Sprintf("http://%s%s", n.Addresses().Admin, path))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestMessagesOutliveAStop(t *testing.T) {
	t.Parallel()
	for _, flush := range []FlushDisk{SyncFlush, AsyncFlush} {
		t.Run(string(flush), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			n, _ := up(t, small(t, dir, "flushDiskType="+string(flush)))
			for i := range 3 {
				if got := send(t, n, "T", "hello").Text("queueOffset"); got != fmt.Sprint(i) {
					t.Errorf("message %d has queue offset %s", i, got)
				}
			}
			down(t, n)
			n, log := up(t, small(t, dir))
			defer down(t, n)
			response := call(t, n.Addresses().Broker, remoting.RequestGetMaxOffset, "", "topic", "T", "queueId", "0")
			if response.Text("offset") != "3" {
				t.Errorf("max offset after the restart is %q, want 3", response.Text("offset"))
			}
			if strings.Contains(log.String(), "created=true") || strings.Contains(log.String(), "cut off") {
				t.Errorf("the log was not closed in order:\n%s", log)
			}
		})
	}
}

func TestANewTopicHasARouteToTheBroker(t *testing.T) {
	t.Parallel()
	n, _ := up(t, small(t, t.TempDir()))
	defer down(t, n)
	send(t, n, "Fresh", "x")
	want := fmt.Sprintf(`"0":"%s"`, n.Addresses().Broker)
	deadline := time.Now().Add(patience)
	for {
		response := call(t, n.Addresses().Nameserver, remoting.RequestGetRouteInfoByTopic, "", "topic", "Fresh")
		if strings.Contains(string(response.Body), want) && strings.Contains(string(response.Body), `"writeQueueNums":4`) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("no route to %s: %d %s", want, response.Code, response.Body)
		}
	}
}

func TestAStoppedBrokerLeavesForeignNameservers(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := nameserver.New(nameserver.Config{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	server := remoting.Serve(listener, foreign, remoting.Options{})
	defer func() { _ = server.Shutdown(context.Background()) }()
	address := netip.MustParseAddrPort(listener.Addr().String())
	topics := func() string {
		return string(call(t, address, remoting.RequestGetAllTopicList, "").Body)
	}

	n, _ := up(t, small(t, t.TempDir(), "namesrvEnable=false", "namesrvAddr="+listener.Addr().String()))
	for deadline := time.Now().Add(patience); !strings.Contains(topics(), `"TBW102"`); {
		if time.Now().After(deadline) {
			t.Fatal("the broker did not register")
		}
	}
	down(t, n)
	if got := topics(); got != `{"topicList":[]}` {
		t.Errorf("after the stop the nameserver has %s", got)
	}
}

func TestTheAdminServerTellsWhatBecameOfAMessage(t *testing.T) {
	t.Parallel()
	n, _ := up(t, small(t, t.TempDir()))
	sent := call(t, n.Addresses().Broker, remoting.RequestSendMessage, "body", "producerGroup", "PG", "topic", "T", "defaultTopic", "TBW102",
		"defaultTopicQueueNums", "1", "queueId", "0", "sysFlag", "0", "bornTimestamp", "1700000000000", "flag", "0", "properties", "UNIQ_KEY\x01U1\x02")
	if sent.Code != 0 {
		t.Fatal(sent.Remark)
	}
	id := sent.Text("msgId")
	commit := call(t, n.Addresses().Broker, remoting.RequestUpdateConsumerOffset, "", "consumerGroup", "G", "topic", "T", "queueId", "0", "commitOffset", "1")
	if commit.Code != 0 {
		t.Fatal(commit.Remark)
	}
	for path, want := range map[string]string{
		"/track?id=" + id: `"state": "acknowledged"`, "/track?id=U1&topic=T": `"messageId": "` + id + `"`,
	} {
		if code, body := get(t, n, path); code != 200 || !strings.Contains(body, want) || !json.Valid([]byte(body)) {
			t.Errorf("%s: %d %s, want 200 and %q", path, code, body, want)
		}
	}
	for path, want := range map[string]int{"/track": 400, "/track?id=U2": 404} {
		if code, body := get(t, n, path); code != want {
			t.Errorf("%s: %d %s, want %d", path, code, body, want)
		}
	}
	n.shards[0].stop()
	if code, body := get(t, n, "/track?id=U1"); code != 503 {
		t.Errorf("without a broker: %d %s", code, body)
	}
	down(t, n)
}

func TestTheAdminServerShowsStateAndMetrics(t *testing.T) {
	t.Parallel()
	n, log := up(t, small(t, t.TempDir(), "haSendHeartbeatInterval=5000", "timerWheelEnable=true"))
	for path, want := range map[string]string{
		"/healthz": "alive\n", "/readyz": "ready\n", "/debug/pprof/cmdline": "node.test",
		"/metrics": `apogee_node_info{version="test",role="server",broker="broker-a",cluster="DefaultCluster",flush="SYNC_FLUSH"} 1`,
	} {
		if code, body := get(t, n, path); code != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %s, want 200 and %q", path, code, body, want)
		}
	}
	for _, metric := range []string{
		"apogee_remoting_connections{listener=\"broker\"}", "apogee_engine_mark_index{mark=\"durable\"}",
		"apogee_nameserver_brokers", "apogee_node_registered_nameservers", "process_resident_memory_bytes",
	} {
		if _, body := get(t, n, "/metrics"); !strings.Contains(body, metric) {
			t.Errorf("/metrics has no %s", metric)
		}
	}
	n.admin.notReady("stopping")
	if code, body := get(t, n, "/readyz"); code != 503 || body != "stopping\n" {
		t.Errorf("/readyz while stopping: %d %q", code, body)
	}
	down(t, n)
	for _, line := range []string{
		`keys="[haSendHeartbeatInterval timerWheelEnable]"`, "listening for=operators address=" + n.Addresses().Admin.String(),
		"listening for=nameserver address=" + n.Addresses().Nameserver.String(),
		"listening for=broker address=" + n.Addresses().Broker.String(), "io=", "stopped took=",
	} {
		if strings.Count(log.String(), line) != 1 {
			t.Errorf("%q must be logged once:\n%s", line, log)
		}
	}
}

func TestOffsetsThatWereGatheredAreStoredByAStop(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n, _ := up(t, small(t, dir, "offsetCommitIntervalMs=60000"))
	for range 3 {
		send(t, n, "T", "x")
	}
	offset := func() string {
		return call(t, n.Addresses().Broker, remoting.RequestQueryConsumerOffset, "",
			"consumerGroup", "G", "topic", "T", "queueId", "0").Text("offset")
	}
	client, err := remoting.Dial(t.Context(), n.Addresses().Broker.String(), remoting.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	commit := &remoting.Request{Code: remoting.RequestUpdateConsumerOffset}
	for key, value := range map[string]string{"consumerGroup": "G", "topic": "T", "queueId": "0", "commitOffset": "2"} {
		commit.Set(key, value)
	}
	if err := client.Oneway(commit); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); offset() != "2"; {
		if time.Now().After(deadline) {
			t.Fatalf("the broker knows offset %q, want 2", offset())
		}
	}
	client.Close()
	down(t, n)
	n, _ = up(t, small(t, dir))
	defer down(t, n)
	if got := offset(); got != "2" {
		t.Errorf("offset after the restart is %q, want 2", got)
	}
}

func TestAPortThatIsTakenEndsTheStartAndIsNamed(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	c := small(t, dir)
	c.AdminPort = taken.Addr().(*net.TCPAddr).Port
	_, err = Start(t.Context(), c, Options{Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "listen on adminListenPort") {
		t.Errorf("got %v", err)
	}
	n, _ := up(t, small(t, dir)) // nothing was left behind
	down(t, n)
}

func TestTwoNodesDontShareAFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	n, _ := up(t, small(t, dir))
	defer down(t, n)
	_, err := Start(t.Context(), small(t, dir), Options{Log: slog.New(slog.DiscardHandler)})
	if err == nil || !strings.Contains(err.Error(), "another process has it open; stop that one first") {
		t.Errorf("got %v, want a sentence about the other process", err)
	}
}

func TestTheFolderOfAnotherBrokerIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := small(t, dir)
	n, _ := up(t, c)
	down(t, n)
	other := c
	other.BrokerName = "broker-of-somebody-else"
	_, err := Start(t.Context(), other, Options{Log: slog.New(slog.DiscardHandler)})
	if !errors.Is(err, errOtherOwner) || !strings.Contains(err.Error(), "broker-of-somebody-else") || !strings.Contains(err.Error(), c.BrokerName) {
		t.Errorf("got %v, want an error that names both brokers", err)
	}
	if err := os.Remove(filepath.Join(dir, logDir, ownerName)); err != nil {
		t.Fatal(err)
	}
	n, _ = up(t, other)
	down(t, n)
	if _, err := Start(t.Context(), c, Options{Log: slog.New(slog.DiscardHandler)}); !errors.Is(err, errOtherOwner) {
		t.Errorf("got %v: the folder was handed over", err)
	}
}

func TestTheLargestMessageFitsInTheLog(t *testing.T) {
	t.Parallel()
	c := small(t, t.TempDir())
	c.MessageBytesMax = 15 << 20
	c.SegmentBytes = 1 << 30
	n, _ := up(t, c)
	defer down(t, n)
	if most := n.shards[0].replica.Engine().Log().DataBytesMax(); most < c.eventBytesMax() {
		t.Errorf("the log takes %d bytes, a message may have %d", most, c.eventBytesMax())
	}
}

func TestMetricsShowTheLog(t *testing.T) {
	t.Parallel()
	n, _ := up(t, small(t, t.TempDir()))
	defer down(t, n)
	var b bytes.Buffer
	n.writeMetrics(&b)
	for _, want := range []string{
		`apogee_log_io_info{path="`, `apogee_log_sync_duration_seconds_bucket{le="0.0001"} `, `apogee_log_sync_duration_seconds_bucket{le="+Inf"} `,
		"apogee_log_batch_events_count ", `apogee_log_written_bytes_total{kind="frames"} `, `apogee_log_history_blocks_total{result="miss"} `,
		"apogee_log_disk_full 0\n", "apogee_index_lag_bytes ", "apogee_index_rebuilds_total 0\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in the metrics", want)
		}
	}
	if strings.Contains(b.String(), "apogee_log_sync_duration_seconds_sum 0\n") || strings.Contains(b.String(), "apogee_log_batch_events_count 0\n") {
		t.Error("the system topics were stored, and nothing was counted")
	}
}

func TestAStartThatIsCalledOffLeavesNothingBehind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	c := small(t, dir)
	c.BrokerPort = porttest.Claim(t, 4) + 2 // it takes the one 2 below and the next, too
	if _, err := Start(ctx, c, Options{Log: slog.New(slog.DiscardHandler)}); err == nil {
		t.Fatal("started in spite of a context that has ended")
	}
	again, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", c.BrokerPort))
	if err != nil {
		t.Fatalf("the port is still taken: %v", err)
	}
	_ = again.Close()
	n, _ := up(t, small(t, dir))
	down(t, n)
}
