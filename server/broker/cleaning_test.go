package broker

import (
	"testing"

	"github.com/apogeemq/apogee/server/remoting"
)

func TestCleaningSucceedsAndTakesNothingAway(t *testing.T) {
	t.Parallel()
	h, _, _ := startWithTwoMessages(t)
	for _, code := range []int32{remoting.RequestCleanUnusedTopic, remoting.RequestCleanExpiredConsumeQueue} {
		h.want(h.call(code, nil, nil), remoting.ResponseSuccess)
	}
	for code, want := range map[int32]string{remoting.RequestGetMinOffset: "0", remoting.RequestGetMaxOffset: "2"} {
		r := h.want(h.call(code, fields{"topic": "T", "queueId": "1"}, nil), remoting.ResponseSuccess)
		if got := r.Text("offset"); got != want {
			t.Errorf("request %d: offset %s, want %s", code, got, want)
		}
	}
}
