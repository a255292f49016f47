package broker

import (
	"fmt"
	"strings"
	"testing"

	"github.com/apogeemq/apogee/server/broker/selector"
	"github.com/apogeemq/apogee/server/remoting"
)

// sendWith stores a message with properties "name\x01value\x02…" in queue 0.
func (h *harness) sendWith(properties, body string) {
	h.Helper()
	h.want(h.call(remoting.RequestSendMessageV2, sendFields(0).with("i", properties), []byte(body)), remoting.ResponseSuccess)
}

func (h *harness) bodies(cmd *remoting.Command) string {
	h.Helper()
	var bodies []string
	for _, r := range h.decodeAll(cmd.Body) {
		bodies = append(bodies, string(r.Body))
	}
	return strings.Join(bodies, " ")
}

func TestAnExpressionChoosesMessagesByTheirProperties(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	for i := range 200 {
		h.sendWith(fmt.Sprintf("n\x01%d\x02TAGS\x01odd%d\x02", i, i%2), fmt.Sprint(i))
	}
	sql := pullFields(0, 0).with("expressionType", "SQL92").with("subscription", "n >= 150 AND TAGS = 'odd1' AND missing IS NULL")
	got := h.want(h.pull(sql.with("maxMsgNums", "3")), remoting.ResponseSuccess)
	if h.bodies(got) != "151 153 155" || place(got) != "156 0 200 0" {
		t.Errorf("bodies %s, place %s", h.bodies(got), place(got))
	}
	none := h.want(h.pull(sql.with("subscription", "n > 500")), remoting.ResponsePullRetryImmediately)
	if place(none) != "200 0 200 0" {
		t.Errorf("place %s after messages that don't match", place(none))
	}
}

func TestAHeldPullWaitsForAMessageThatItsExpressionChooses(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.sendWith("n\x011\x02", "first")
	held := h.begin(h.client, remoting.RequestPullMessage,
		pullFields(0, 1).with("sysFlag", "6").with("expressionType", "SQL92").with("subscription", "n = 3"), nil)
	for n := 2; n <= 3; n++ {
		h.sendWith(fmt.Sprintf("n\x01%d\x02", n), fmt.Sprint("body", n))
	}
	if got := h.want(receive(t, held), remoting.ResponseSuccess); h.bodies(got) != "body3" {
		t.Errorf("bodies %s, want body3", h.bodies(got))
	}
}

func TestAnExpressionToldByHeartbeatCounts(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.sendWith("n\x011\x02", "one")
	h.sendWith("sql\x01x\x02", "two")
	h.heartbeat(h.client, "c1", "CG", map[string]string{"T": "sql IS NOT NULL"})
	if got := h.want(h.pull(pullFields(0, 0).with("sysFlag", "0")), remoting.ResponseSuccess); h.bodies(got) != "two" {
		t.Errorf("bodies %s, want two", h.bodies(got))
	}
}

func TestWithoutPropertyFilterExpressionsAreRefused(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *Config) { c.PropertyFilter = false })
	h.want(h.pull(pullFields(0, 0).with("expressionType", "SQL92").with("subscription", "a = 1")), remoting.ResponseSystemError)
}

func TestCompiledExpressionsTakeBoundedMemory(t *testing.T) {
	t.Parallel()
	var s selectors
	filler := strings.Repeat(" ", selector.BytesMax-100)
	for i := range 3 * selectorsBytesMax / selector.BytesMax {
		if _, err := s.get([]byte(fmt.Sprintf("a = %d%s", i, filler))); err != nil {
			t.Fatal(err)
		}
		if s.bytes > selectorsBytesMax || len(s.known) > selectorsBytesMax/selector.BytesMax+2 {
			t.Fatalf("%d expressions of %d bytes are kept", len(s.known), s.bytes)
		}
	}
	if _, err := s.get([]byte("a = 1" + filler)); err != nil || len(s.known) == 0 {
		t.Errorf("an expression that was dropped: %v", err)
	}
}
