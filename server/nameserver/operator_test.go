package nameserver

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apogeemq/apogee/server/remoting"
)

func TestKeysAndValuesAreStoredReadListedAndDeleted(t *testing.T) {
	t.Parallel()
	_, server, _ := start(t, "127.0.0.1:0")
	client := dial(t, server.Addr())
	put := func(key, value string) {
		r := call(t, client, remoting.RequestPutKVConfig, "", "namespace", "n", "key", key, "value", value)
		if r.Code != remoting.ResponseSuccess {
			t.Fatalf("put %s: %d %s", key, r.Code, r.Remark)
		}
	}
	expect(t, client, remoting.RequestGetKVListByNamespace, []string{"namespace", "n"}, remoting.ResponseQueryNotFound, "")
	put("b", "2")
	put("a", "grün")
	if r := call(t, client, remoting.RequestGetKVConfig, "", "namespace", "n", "key", "a"); r.Code != 0 || r.Text("value") != "grün" {
		t.Errorf("got %d %q", r.Code, r.Text("value"))
	}
	expect(t, client, remoting.RequestGetKVListByNamespace, []string{"namespace", "n"}, 0, `{"table":{"a":"grün","b":"2"}}`)
	expect(t, client, remoting.RequestDeleteKVConfig, []string{"namespace", "n", "key", "a"}, 0, "")
	expect(t, client, remoting.RequestDeleteKVConfig, []string{"namespace", "n", "key", "never"}, 0, "")
	r := call(t, client, remoting.RequestGetKVConfig, "", "namespace", "n", "key", "a")
	if r.Code != remoting.ResponseQueryNotFound || string(r.Remark) != "No config item, Namespace: n Key: a" {
		t.Errorf("got %d %q", r.Code, r.Remark)
	}
	for _, fields := range [][]string{{"key", "k", "value", "v"}, {"namespace", "n", "value", "v"}, {"namespace", "n", "key", "k"}} {
		expect(t, client, remoting.RequestPutKVConfig, fields, remoting.ResponseSystemError, "")
	}
}

func TestTheOrderOfATopicIsToldToBrokersAndOnRequestToClients(t *testing.T) {
	t.Parallel()
	_, client, _, _ := registered(t)
	call(t, client, remoting.RequestPutKVConfig, "", "namespace", orderTopics, "key", "TopicTest", "value", "broker-a:8")
	register := func() string {
		return string(call(t, client, remoting.RequestRegisterBroker, twoTopics, identityFields("broker-a", "10.0.0.1:10911", 0)...).Body)
	}
	if body := register(); body != `{"table":{"TopicTest":"broker-a:8"}}` {
		t.Errorf("a broker that registers is told %s", body)
	}
	expect(t, client, remoting.RequestGetRouteInfoByTopic, []string{"topic", "TopicTest"}, 0, quotedRoute)
	change(t, client, "orderMessageEnable=true\nreturnOrderTopicConfigToBroker=false", remoting.ResponseSuccess)
	ordered := strings.Replace(quotedRoute, `"queueDatas"`, `"orderTopicConf":"broker-a:8","queueDatas"`, 1)
	expect(t, client, remoting.RequestGetRouteInfoByTopic, []string{"topic", "TopicTest"}, 0, ordered)
	if body := register(); body != "" {
		t.Errorf("a broker that registers is told %s", body)
	}
}

func change(t *testing.T, client *remoting.Client, properties string, want int32) {
	t.Helper()
	if r := call(t, client, remoting.RequestUpdateNameserverConfig, properties); r.Code != want {
		t.Errorf("change to %q: got %d %s, want %d", properties, r.Code, r.Remark, want)
	}
}

func TestListsCanBeSwitchedOff(t *testing.T) {
	t.Parallel()
	_, client, _, _ := registered(t)
	change(t, client, "enableAllTopicList=false\n\n# a comment\nenableTopicList = false\n", remoting.ResponseSuccess)
	for _, code := range []int32{remoting.RequestGetAllTopicList, remoting.RequestGetTopicsByCluster, remoting.RequestGetUnitTopicList} {
		if r := call(t, client, code, "", "cluster", "DefaultCluster"); r.Code != remoting.ResponseSystemError || string(r.Remark) != "disable" {
			t.Errorf("request %d: got %d %q %s", code, r.Code, r.Remark, r.Body)
		}
	}
}

func TestOnlySwitchesAreChangedAndAllOrNone(t *testing.T) {
	t.Parallel()
	w, server, _ := start(t, "127.0.0.1:0")
	client := dial(t, server.Addr())
	for _, key := range []string{"kvConfigPath", "listenPort", "rocketmqHome", "scannotactivebrokerinterval", ""} {
		change(t, client, "orderMessageEnable=true\n"+key+"=/tmp/x", remoting.ResponseNoPermission)
	}
	change(t, client, "orderMessageEnable=true\nenableTopicList=yes", remoting.ResponseSystemError)
	for _, interval := range []string{"99", "600001", "-5000", "", "1e3"} {
		change(t, client, "orderMessageEnable=true\nscanNotActiveBrokerInterval="+interval, remoting.ResponseSystemError)
	}
	change(t, client, strings.Repeat("#\n", maxPropertiesBytes), remoting.ResponseSystemError)
	if got := *w.switches(); got != DefaultSwitches() {
		t.Errorf("a request that was refused changed something: %+v", got)
	}
}

func TestTheConfigurationShowsWhatIsInForce(t *testing.T) {
	t.Parallel()
	s := open(t, Config{Log: quiet, Properties: "listenPort=9876\norderMessageEnable=false\nbindAddress=127.0.0.1\n"})
	if err := s.panel.change("orderMessageEnable=true\nscanNotActiveBrokerInterval=2500"); err != nil {
		t.Fatal(err)
	}
	const want = "bindAddress=127.0.0.1\nenableAllTopicList=true\nenableTopicList=true\nlistenPort=9876\n" +
		"orderMessageEnable=true\nreturnOrderTopicConfigToBroker=true\nscanNotActiveBrokerInterval=2500\n"
	if got := s.panel.describe(s.config.Properties); got != want {
		t.Errorf("got:\n%swant:\n%s", got, want)
	}
}

func TestANewScanIntervalIsUsedFromTheNextScanOn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, Config{Log: quiet})
		s.table.live[endpoint{"c", "a"}] = &liveBroker{identity: identity{endpoint: endpoint{"c", "a"}}}
		if err := s.panel.change("scanNotActiveBrokerInterval=600000"); err != nil {
			t.Fatal(err)
		}
		go s.Run(t.Context())
		<-time.After(9 * time.Minute)
		if n, _, _ := s.table.size(); n != 1 {
			t.Error("scanned after less than the interval")
		}
		<-time.After(2 * time.Minute)
		if n, _, _ := s.table.size(); n != 0 {
			t.Error("not scanned after the interval")
		}
	})
}

func TestABrokerRegistersOneTopicByItself(t *testing.T) {
	t.Parallel()
	_, client, _, _ := registered(t)
	body := `{"queueDatas":[{"brokerName":"broker-a","perm":6,"readQueueNums":4,"topicSysFlag":0,"writeQueueNums":4},` +
		`{"brokerName":"stranger","perm":6,"readQueueNums":4,"writeQueueNums":4}],"brokerDatas":[{"brokerAddrs":{0:"x"}}]}`
	if r := call(t, client, remoting.RequestRegisterTopicInNameserver, body, "topic", "New"); r.Code != 0 {
		t.Fatalf("refused: %d %s", r.Code, r.Remark)
	}
	want := strings.NewReplacer(`"readQueueNums":8`, `"readQueueNums":4`, `"writeQueueNums":8`, `"writeQueueNums":4`).Replace(quotedRoute)
	expect(t, client, remoting.RequestGetRouteInfoByTopic, []string{"topic", "New"}, 0, want)
	for _, c := range []struct{ topic, body string }{{"", body}, {strings.Repeat("t", 256), body}, {"New", `{"queueDatas":[`}} {
		if r := call(t, client, remoting.RequestRegisterTopicInNameserver, c.body, "topic", c.topic); r.Code != remoting.ResponseSystemError {
			t.Errorf("topic %.10q, body %.20q: got %d", c.topic, c.body, r.Code)
		}
	}
}

func FuzzDecodeQueues(f *testing.F) {
	f.Add([]byte(`{"queueDatas":[{"brokerName":"broker-a","perm":6,"readQueueNums":4,"topicSysFlag":0,"writeQueueNums":4}]}`))
	f.Add([]byte(`{"queueDatas":null,"brokerDatas":[{"brokerAddrs":{0:"x"}}]}`))
	f.Add([]byte(`{"queueDatas":[{"brokerName":null,"perm":-1}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		queues, err := decodeQueues(body)
		if err != nil {
			return
		}
		for name, q := range queues {
			if q.readQueues < 0 || q.writeQueues < 0 || q.permission < 0 {
				t.Errorf("%q on %q", q, name)
			}
		}
	})
}
