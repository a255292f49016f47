package broker

import (
	"strings"
	"testing"

	"github.com/apogeemq/apogee/server/remoting"
)

func TestOffsetsOfOnlineMembersAreGathered(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	asked := make(chan string, 4)
	dial := func(client, body string) {
		c := h.dial(peer{func(cmd *remoting.Command) *remoting.Reply {
			if cmd.Code != remoting.RequestGetConsumerStatusFromClient {
				return nil
			}
			asked <- cmd.Text("topic") + "@" + cmd.Text("group")
			return &remoting.Reply{Body: []byte(body)}
		}})
		h.heartbeat(c, client, "CG", map[string]string{"T": "*"})
	}
	one, two := `{`+mq(0)+`:3}`, `{`+mq(1)+`:4,`+mq(2)+`:5}`
	dial("c1", `{"consumerTable":{},"messageQueueTable":`+one+`}`)
	dial("c2", `{"messageQueueTable" : `+two+`}`)
	dial("c3", `{"messageQueueTable":{"unfinished`)
	f := fields{"topic": "T", "group": "CG"}
	h.wantBody(remoting.RequestInvokeBrokerToGetStatus, f, `{"consumerTable":{"c1":`+one+`,"c2":`+two+`},"messageQueueTable":{}}`)
	if got := receive(t, asked); got != "T@CG" {
		t.Errorf("asked for %s", got)
	}
	h.wantBody(remoting.RequestInvokeBrokerToGetStatus, f.with("clientAddr", "c2"), `{"consumerTable":{"c2":`+two+`},"messageQueueTable":{}}`)
	h.want(h.call(remoting.RequestInvokeBrokerToGetStatus, f.with("clientAddr", "c9"), nil), remoting.ResponseSystemError)
	h.want(h.call(remoting.RequestInvokeBrokerToGetStatus, f.with("group", "None"), nil), remoting.ResponseSystemError)
}

func FuzzWhatIsPassedOnFromAClientIsOneObject(f *testing.F) {
	f.Add([]byte(`{"messageQueueTable":{{"topic":"T","queueId":1}:5}}`))
	f.Add([]byte(`{"messageQueueTable":{"a":"}\"{"}} trailing`))
	f.Add([]byte(`"messageQueueTable":{]`))
	f.Add([]byte(`"messageQueueTable":{"a\`))
	f.Add([]byte(`"messageQueueTable":` + strings.Repeat("{", 100)))
	f.Fuzz(func(t *testing.T, body []byte) {
		got := offsetTableOf(body)
		if got == nil {
			return
		}
		if again := balanced(got); string(again) != string(got) || got[0] != '{' {
			t.Errorf("passed on %q, of which %q is whole", got, again)
		}
	})
}
