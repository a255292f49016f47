package broker

import (
	"strings"
	"testing"

	"github.com/apogeemq/apogee/server/remoting"
)

func (h *harness) changeSettings(lines string) *remoting.Command {
	h.Helper()
	return h.call(remoting.RequestUpdateBrokerConfig, nil, []byte(lines))
}

func TestSettingsOfTheListMayBeChangedWhileTheBrokerRuns(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *Config) {
		c.Properties = "autoCreateTopicEnable=true\nbrokerPermission=6\nmaxMessageSize=4194304\n"
	})
	h.send(0, "a", "x")
	_, before := h.broker.TopicTable()
	h.want(h.changeSettings("brokerPermission=4\n# a comment\n\nmaxMessageSize = 2000\nautoCreateTopicEnable=false\n"), remoting.ResponseSuccess)
	got := h.want(h.call(remoting.RequestGetBrokerConfig, nil, nil), remoting.ResponseSuccess)
	if string(got.Body) != "autoCreateTopicEnable=false\nbrokerPermission=4\nmaxMessageSize=2000\n" || !strings.Contains(got.Text("version"), `"counter":1`) {
		t.Errorf("settings %q, version %s", got.Body, got.Text("version"))
	}

	// Routes must not offer what the broker refuses.
	receive(t, h.broker.TopicsChanged())
	table, after := h.broker.TopicTable()
	for _, topic := range table {
		if topic.Permission&PermissionWrite != 0 {
			t.Errorf("topic %s is registered with permission %d", topic.Name, topic.Permission)
		}
	}
	if after == before {
		t.Error("the table has the same version as before")
	}
	if all := h.want(h.call(remoting.RequestGetTopicConfig, fields{"topic": "T"}, nil), remoting.ResponseSuccess); !strings.Contains(string(all.Body), `"perm":6`) {
		t.Errorf("the topic itself has changed: %s", all.Body)
	}
	h.want(h.call(remoting.RequestSendMessageV2, sendFields(0).with("b", "New"), []byte("x")), remoting.ResponseTopicNotExist)
	h.want(h.call(remoting.RequestSendMessageV2, sendFields(0), make([]byte, 2001)), remoting.ResponseMessageIllegal)
	h.want(h.pull(pullFields(0, 0)), remoting.ResponseSuccess)
	h.want(h.changeSettings("brokerPermission=2"), remoting.ResponseSuccess)
	h.want(h.pull(pullFields(0, 0)), remoting.ResponseNoPermission)
}

func TestOtherSettingsAndWrongValuesChangeNothing(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	for lines, code := range map[string]int32{
		"brokerPermission=4\nstorePathRootDir=/tmp\n":      remoting.ResponseNoPermission,
		"brokerPermission=4\nbrokerConfigPath=/etc/passwd": remoting.ResponseNoPermission,
		"brokerPermission=4\nmaxMessageSize=all":           remoting.ResponseInvalidParameter,
		"brokerPermission=4\nmaxMessageSize=1":             remoting.ResponseInvalidParameter,
		"brokerPermission=8":                               remoting.ResponseInvalidParameter,
		"autoCreateTopicEnable=yes":                        remoting.ResponseInvalidParameter,
		"brokerPermission=4\nno assignment":                remoting.ResponseInvalidParameter,
		"=4":                                               remoting.ResponseInvalidParameter,
		strings.Repeat("#", propertyBytesMax+1):            remoting.ResponseInvalidParameter,
		"":                                                 remoting.ResponseSuccess,
	} {
		if got := h.changeSettings(lines); got.Code != code {
			t.Errorf("%.60q: code %d, remark %q, want %d", lines, got.Code, got.Remark, code)
		}
	}
	if s := h.broker.live.get(); s.permission != 6 || s.messageBytesMax != 4<<20 {
		t.Errorf("settings are %+v", s)
	}
}
