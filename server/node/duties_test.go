package node

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apogeemq/apogee/server/duty"
	"github.com/apogeemq/apogee/server/remoting"
)

func TestTheKeysOfRetentionBecomeItsRules(t *testing.T) {
	t.Parallel()
	c := DefaultConfig()
	got := c.retention()
	if !slices.Equal(got.Hours, []int{4}) {
		t.Errorf("hours %v", got.Hours)
	}
	got.Hours = nil
	want := duty.Rules{Keep: 72 * time.Hour, ExpirePercent: 75, ForciblePercent: 85}
	if got.Keep != want.Keep || got.ExpirePercent != want.ExpirePercent || got.ForciblePercent != want.ForciblePercent || got.SizeBytes != 0 {
		t.Errorf("rules %+v, expected %+v", got, want)
	}
	c, err := Load("", []string{"deleteWhen=02; 14", "cleanFileForciblyEnable=false", "commitLogSizeMax=123456789012", "fileReservedTime=1"})
	if err != nil {
		t.Fatal(err)
	}
	got = c.retention()
	if !slices.Equal(got.Hours, []int{2, 14}) || got.ForciblePercent != 0 || got.SizeBytes != 123456789012 || got.Keep != time.Hour {
		t.Errorf("rules %+v", got)
	}
}

// minOffset is the oldest offset of queue 0 as clients are told.
func minOffset(t *testing.T, n *Node, topic string) int {
	t.Helper()
	response := call(t, n.Addresses().Broker, remoting.RequestGetMinOffset, "", "topic", topic, "queueId", "0")
	offset, err := strconv.Atoi(response.Text("offset"))
	if err != nil {
		t.Fatalf("%d %s: %v", response.Code, response.Remark, err)
	}
	return offset
}

var (
	anyDecision = regexp.MustCompile(`(?m)^apogee_duty_trims_total.*$`)
	decided     = regexp.MustCompile(`(?m)^apogee_duty_trims_total\{cause="size"\} [1-9]`)
)

func TestAConsumerThatIsFarBehindIsSetToTheOldestMessageThatIsKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := []string{"mappedFileSizeCommitLog=1310720", "maxMessageSize=65536", "cleanFileForciblyEnable=false"} // the disk may be nearly full
	n, _ := up(t, small(t, dir, config...))
	const messages = 100
	for range messages {
		send(t, n, "orders", strings.Repeat("x", 60_000))
	}
	if first := minOffset(t, n, "orders"); first != 0 {
		t.Fatalf("the oldest offset is %d before there was retention", first)
	}
	down(t, n)
	// The first look is at the start.
	n, log := up(t, small(t, dir, append(config, "commitLogSizeMax=3000000")...))
	deadline := time.Now().Add(patience)
	first := 0
	for first == 0 && time.Now().Before(deadline) {
		first = minOffset(t, n, "orders")
	}
	if first == 0 || first >= messages {
		t.Fatalf("the oldest offset is %d of %d\n%s", first, messages, log)
	}
	pull := func(offset string) *remoting.Command {
		return call(t, n.Addresses().Broker, remoting.RequestPullMessage, "", "consumerGroup", "late", "topic", "orders", "queueId", "0",
			"queueOffset", offset, "maxMsgNums", "1", "sysFlag", "4", "commitOffset", "0", "suspendTimeoutMillis", "0",
			"subscription", "*", "subVersion", "0", "expressionType", "TAG")
	}
	moved := pull("0")
	if moved.Code != remoting.ResponsePullOffsetMoved || moved.Text("nextBeginOffset") != strconv.Itoa(first) || moved.Text("minOffset") != strconv.Itoa(first) {
		t.Errorf("a pull of offset 0: %d %s, next %s", moved.Code, moved.Remark, moved.Text("nextBeginOffset"))
	}
	if found := pull(strconv.Itoa(first)); found.Code != remoting.ResponseSuccess {
		t.Errorf("a pull of the oldest message: %d %s", found.Code, found.Remark)
	}
	deadline = time.Now().Add(patience)
	for counted := false; !counted; { // when the duty is told, which may be after the decision is applied
		_, metrics := get(t, n, "/metrics")
		counted = decided.MatchString(metrics)
		if !counted && time.Now().After(deadline) {
			t.Fatalf("the decision is not counted: %q\n%s", anyDecision.FindAllString(metrics, -1), log)
		}
	}
	down(t, n)
	n, _ = up(t, small(t, dir, config...))
	if again := minOffset(t, n, "orders"); again != first {
		t.Errorf("the oldest offset is %d after a start, %d before", again, first)
	}
	down(t, n)
}
