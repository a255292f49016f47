package broker

import (
	"strings"
	"testing"

	"github.com/apogeemq/apogee/server/remoting"
)

func TestAGroupMayBeKeptAwayFromATopic(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.send(0, "a", "x")
	f := fields{"group": "CG", "topic": "T"}
	readable, forbidden := `{"group":"CG","readable":true,"topic":"T"}`, `{"group":"CG","readable":false,"topic":"T"}`
	h.wantBody(remoting.RequestUpdateAndGetGroupForbidden, f, readable)
	h.wantBody(remoting.RequestUpdateAndGetGroupForbidden, f.with("readable", "false"), forbidden)
	h.wantBody(remoting.RequestUpdateAndGetGroupForbidden, f, forbidden)
	refused := h.want(h.pull(pullFields(0, 0)), remoting.ResponseNoPermission)
	if refused.Text("forbiddenType") != "5" {
		t.Errorf("forbiddenType %s, want 5", refused.Text("forbiddenType"))
	}

	// A change of the group's other settings leaves it as it is.
	h.want(h.updateGroup(`{"groupName":"CG","retryMaxTimes":3}`), remoting.ResponseSuccess)
	h.want(h.pull(pullFields(0, 0)), remoting.ResponseNoPermission)
	all := string(h.want(h.call(remoting.RequestGetAllGroupConfig, nil, nil), remoting.ResponseSuccess).Body)
	if !strings.Contains(all, `"forbiddenTable":{"CG":{"T":4}}`) {
		t.Errorf("the table of groups lacks the forbidden topic: %s", all)
	}

	h.wantBody(remoting.RequestUpdateAndGetGroupForbidden, f.with("readable", "true"), readable)
	h.want(h.pull(pullFields(0, 0)), remoting.ResponseSuccess)
	h.want(h.call(remoting.RequestUpdateAndGetGroupForbidden, f.with("topic", "T,U"), nil), remoting.ResponseInvalidParameter)
	h.want(h.call(remoting.RequestUpdateAndGetGroupForbidden, f.with("group", "no name").with("readable", "false"), nil), remoting.ResponseGroupNotExist)
}

func TestAllGroupsPull(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	for body, code := range map[string]int32{
		`{"topic":"T","consumerGroup":"CG","mode":"PULL"}`:         remoting.ResponseSuccess,
		`{"topic":"T","consumerGroup":"CG","mode":"POP"}`:          remoting.ResponseSystemError,
		`{"topic":"T","consumerGroup":"CG","mode":"PUSH"}`:         remoting.ResponseInvalidParameter,
		`{"topic":"None","consumerGroup":"CG","mode":"PULL"}`:      remoting.ResponseTopicNotExist,
		`{"topic":"T","consumerGroup":"None","mode":"PULL"}`:       remoting.ResponseGroupNotExist,
		`{"topic":"%RETRY%CG","consumerGroup":"CG","mode":"PULL"}`: remoting.ResponseNoPermission,
		`{"topic":["T"],"consumerGroup":"CG","mode":"PULL"}`:       remoting.ResponseInvalidParameter,
	} {
		if got := h.call(remoting.RequestSetMessageRequestMode, nil, []byte(body)); got.Code != code {
			t.Errorf("%s: code %d, remark %q, want %d", body, got.Code, got.Remark, code)
		}
	}
	for body, code := range map[string]int32{
		`{"subscriptionData":{"expressionType":"TAG","subString":"a","topic":"T"}}`:       remoting.ResponseSuccess,
		`{"subscriptionData":{"expressionType":"SQL92","subString":"a = 1","topic":"T"}}`: remoting.ResponseSuccess,
		`{"subscriptionData":{"expressionType":"SQL92","subString":"a =","topic":"T"}}`:   remoting.ResponseSubscriptionParseFailed,
		`{"subscriptionData":{"expressionType":"XPATH","subString":"a =","topic":"T"}}`:   remoting.ResponseSystemError,
		`{}`: remoting.ResponseSuccess,
		``:   remoting.ResponseInvalidParameter,
	} {
		if got := h.call(remoting.RequestCheckClientConfig, nil, []byte(body)); got.Code != code {
			t.Errorf("%s: code %d, remark %q, want %d", body, got.Code, got.Remark, code)
		}
	}
}
