package nameserver

import (
	"bytes"
	"context"
	"hash/crc32"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apogeemq/apogee/server/remoting"
)

// twoTopics is the body of a RocketMQ 5 broker that has just started.
const twoTopics = `{"filterServerList":[],"topicConfigSerializeWrapper":{` +
	`"dataVersion":{"counter":3,"stateVersion":0,"timestamp":1700000000000},` +
	`"mappingDataVersion":{"counter":0,"stateVersion":0,"timestamp":0},` +
	`"topicConfigTable":{` +
	`"TopicTest":{"attributes":{},"order":false,"perm":6,"readQueueNums":8,"topicFilterType":"SINGLE_TAG","topicName":"TopicTest","topicSysFlag":0,"writeQueueNums":8},` +
	`"TBW102":{"attributes":{},"order":false,"perm":7,"readQueueNums":8,"topicFilterType":"SINGLE_TAG","topicName":"TBW102","topicSysFlag":0,"writeQueueNums":8}},` +
	`"topicQueueMappingDetailMap":{},"topicQueueMappingInfoMap":{"S":{"bname":"broker-a","currIdMap":{0:0,1:1},"topic":"S"}}}}`

// oneTopic is an incremental registration: TopicTest now has 16 queues.
const oneTopic = `{"topicConfigSerializeWrapper":{"dataVersion":{"counter":4,"stateVersion":0,"timestamp":1700000000001},` +
	`"topicConfigTable":{"TopicTest":{"perm":6,"readQueueNums":16,"topicName":"TopicTest","writeQueueNums":16}}}}`

const (
	quotedRoute = `{"brokerDatas":[{"brokerAddrs":{"0":"10.0.0.1:10911"},"brokerName":"broker-a","cluster":"DefaultCluster","enableActingMaster":false}],` +
		`"filterServerTable":{},"queueDatas":[{"brokerName":"broker-a","perm":6,"readQueueNums":8,"topicSysFlag":0,"writeQueueNums":8}]}`
	bareRoute = `{"brokerDatas":[{"brokerAddrs":{0:"10.0.0.1:10911"},"brokerName":"broker-a","cluster":"DefaultCluster","enableActingMaster":false}],` +
		`"filterServerTable":{},"queueDatas":[{"brokerName":"broker-a","perm":6,"readQueueNums":8,"topicSysFlag":0,"writeQueueNums":8}]}`
)

func registered(t *testing.T) (*watched, *remoting.Client, *atomic.Int64, *remoting.Server) {
	t.Helper()
	w, server, clock := start(t, "127.0.0.1:0")
	client := dial(t, server.Addr())
	response := call(t, client, remoting.RequestRegisterBroker, twoTopics, identityFields("broker-a", "10.0.0.1:10911", 0)...)
	if response.Code != remoting.ResponseSuccess {
		t.Fatalf("registration refused: %d %s", response.Code, response.Remark)
	}
	return w, client, clock, server
}

func TestARegisteredTopicHasARoute(t *testing.T) {
	t.Parallel()
	_, client, _, _ := registered(t)
	expect(t, client, remoting.RequestGetRouteInfoByTopic, []string{"topic", "TopicTest"}, 0, quotedRoute)
}

func TestAnUnknownTopicHasNoRoute(t *testing.T) {
	t.Parallel()
	_, client, _, _ := registered(t)
	response := call(t, client, remoting.RequestGetRouteInfoByTopic, "", "topic", "Nowhere")
	if response.Code != remoting.ResponseTopicNotExist ||
		!strings.HasPrefix(string(response.Remark), "No topic route info in name server for the topic: Nowhere\nSee https://") {
		t.Errorf("got %d %q", response.Code, response.Remark)
	}
}

func TestOldClientsGetRoutesWithBareNumericKeys(t *testing.T) {
	t.Parallel()
	w, _, _, _ := registered(t)
	for _, c := range []struct {
		version int32
		fields  []remoting.Field
		want    string
	}{
		{400, nil, bareRoute},
		{401, nil, quotedRoute},
		{0, []remoting.Field{{Key: []byte("acceptStandardJsonOnly"), Value: []byte("true")}}, quotedRoute},
		{0, []remoting.Field{{Key: []byte("acceptStandardJsonOnly"), Value: []byte("false")}}, bareRoute},
	} {
		cmd := &remoting.Command{Version: c.version, Fields: append(c.fields, remoting.Field{Key: []byte("topic"), Value: []byte("TopicTest")})}
		var r remoting.Reply
		w.Server.route(nil, cmd, &r)
		if string(r.Body) != c.want {
			t.Errorf("version %d, fields %s:\n got %s\nwant %s", c.version, c.fields, r.Body, c.want)
		}
	}
}

func TestClusterInfoAndMemberGroupHaveBareNumericKeys(t *testing.T) {
	t.Parallel()
	_, client, _, _ := registered(t)
	expect(t, client, remoting.RequestGetBrokerClusterInfo, nil, 0,
		`{"brokerAddrTable":{"broker-a":{"brokerAddrs":{0:"10.0.0.1:10911"},"brokerName":"broker-a","cluster":"DefaultCluster","enableActingMaster":false}},`+
			`"clusterAddrTable":{"DefaultCluster":["broker-a"]}}`)
	expect(t, client, remoting.RequestGetBrokerMemberGroup, []string{"clusterName", "DefaultCluster", "brokerName", "broker-a"}, 0,
		`{"brokerMemberGroup":{"brokerAddrs":{0:"10.0.0.1:10911"},"brokerName":"broker-a","cluster":"DefaultCluster"}}`)
	expect(t, client, remoting.RequestGetBrokerMemberGroup, []string{"clusterName", "C", "brokerName", "none"}, 0,
		`{"brokerMemberGroup":{"brokerAddrs":{},"brokerName":"none","cluster":"C"}}`)
}

func TestTopicListsNameWhatIsRegistered(t *testing.T) {
	t.Parallel()
	_, client, _, _ := registered(t)
	expect(t, client, remoting.RequestGetAllTopicList, nil, 0, `{"topicList":["TBW102","TopicTest"]}`)
	expect(t, client, remoting.RequestGetTopicsByCluster, []string{"cluster", "DefaultCluster"}, 0, `{"topicList":["TBW102","TopicTest"]}`)
	expect(t, client, remoting.RequestGetTopicsByCluster, []string{"cluster", "Other"}, 0, `{"topicList":[]}`)
	expect(t, client, remoting.RequestGetSystemTopicListFromNS, nil, 0,
		`{"brokerAddr":"10.0.0.1:10911","topicList":["DefaultCluster","broker-a"]}`)
	expect(t, client, remoting.RequestGetUnitTopicList, nil, 0, `{"topicList":[]}`)
}

func TestUnitTopicsAreListedByTheirFlags(t *testing.T) {
	t.Parallel()
	_, server, _ := start(t, "127.0.0.1:0")
	client := dial(t, server.Addr())
	call(t, client, remoting.RequestRegisterBroker, `{"topicConfigSerializeWrapper":{"topicConfigTable":{`+
		`"unit":{"topicSysFlag":1},"consumers":{"topicSysFlag":2},"both":{"topicSysFlag":3},"none":{}}}}`,
		identityFields("broker-a", "10.0.0.1:10911", 0)...)
	expect(t, client, remoting.RequestGetUnitTopicList, nil, 0, `{"topicList":["both","unit"]}`)
	expect(t, client, remoting.RequestGetHasUnitSubTopicList, nil, 0, `{"topicList":["both","consumers"]}`)
	expect(t, client, remoting.RequestGetHasUnitSubUnunitTopics, nil, 0, `{"topicList":["consumers"]}`)
}

func TestAFirstRegistrationWithOneTopicIsRefused(t *testing.T) {
	t.Parallel()
	_, server, _ := start(t, "127.0.0.1:0")
	client := dial(t, server.Addr())
	response := call(t, client, remoting.RequestRegisterBroker, oneTopic, identityFields("broker-a", "10.0.0.1:10911", 0)...)
	if response.Code != remoting.ResponseSystemError || string(response.Remark) != "register broker failed" {
		t.Errorf("got %d %q, want 1 register broker failed", response.Code, response.Remark)
	}
	expect(t, client, remoting.RequestGetBrokerClusterInfo, nil, 0, `{"brokerAddrTable":{},"clusterAddrTable":{}}`)
}

func TestAnIncrementalRegistrationChangesItsTopicOnly(t *testing.T) {
	t.Parallel()
	_, client, _, _ := registered(t)
	response := call(t, client, remoting.RequestRegisterBroker, oneTopic, identityFields("broker-a", "10.0.0.1:10911", 0)...)
	if response.Code != remoting.ResponseSuccess {
		t.Fatalf("refused: %d %s", response.Code, response.Remark)
	}
	expect(t, client, remoting.RequestGetRouteInfoByTopic, []string{"topic", "TopicTest"}, 0,
		strings.ReplaceAll(quotedRoute, `QueueNums":8`, `QueueNums":16`))
	expect(t, client, remoting.RequestGetAllTopicList, nil, 0, `{"topicList":["TBW102","TopicTest"]}`)
}

func TestTheSameVersionAgainChangesNoTopic(t *testing.T) {
	t.Parallel()
	_, client, _, _ := registered(t)
	call(t, client, remoting.RequestRegisterBroker, strings.ReplaceAll(twoTopics, `QueueNums":8`, `QueueNums":9`),
		identityFields("broker-a", "10.0.0.1:10911", 0)...)
	expect(t, client, remoting.RequestGetRouteInfoByTopic, []string{"topic", "TopicTest"}, 0, quotedRoute)
}

func TestASlaveLearnsItsMasterAndBringsNoTopics(t *testing.T) {
	t.Parallel()
	_, client, _, _ := registered(t)
	body := strings.ReplaceAll(twoTopics, "TopicTest", "SlaveTopic")
	response := call(t, client, remoting.RequestRegisterBroker, body, identityFields("broker-a", "10.0.0.2:10911", 1)...)
	if response.Text("masterAddr") != "10.0.0.1:10911" || response.Text("haServerAddr") != "10.0.0.1:109111" {
		t.Errorf("slave was told master %q, HA %q", response.Text("masterAddr"), response.Text("haServerAddr"))
	}
	expect(t, client, remoting.RequestGetAllTopicList, nil, 0, `{"topicList":["TBW102","TopicTest"]}`)
	expect(t, client, remoting.RequestGetRouteInfoByTopic, []string{"topic", "TopicTest"}, 0,
		strings.ReplaceAll(quotedRoute, `{"0":"10.0.0.1:10911"}`, `{"0":"10.0.0.1:10911","1":"10.0.0.2:10911"}`))
}

func TestAPromotedSlaveKeepsOneID(t *testing.T) {
	t.Parallel()
	_, client, _, _ := registered(t)
	call(t, client, remoting.RequestRegisterBroker, twoTopics, identityFields("broker-a", "10.0.0.2:10911", 1)...)
	call(t, client, remoting.RequestUnregisterBroker, "", identityFields("broker-a", "10.0.0.1:10911", 0)...)
	call(t, client, remoting.RequestRegisterBroker, twoTopics, identityFields("broker-a", "10.0.0.2:10911", 0)...)
	expect(t, client, remoting.RequestGetRouteInfoByTopic, []string{"topic", "TopicTest"}, 0,
		strings.ReplaceAll(quotedRoute, "10.0.0.1", "10.0.0.2"))
}

func TestADeposedMasterCannotPushOutItsHeir(t *testing.T) {
	t.Parallel()
	_, client, _, _ := registered(t)
	heir := strings.Replace(twoTopics, `"stateVersion":0`, `"stateVersion":7`, 1)
	call(t, client, remoting.RequestRegisterBroker, heir, identityFields("broker-a", "10.0.0.2:10911", 0)...)
	response := call(t, client, remoting.RequestRegisterBroker, twoTopics, identityFields("broker-a", "10.0.0.1:10911", 0)...)
	if response.Code != remoting.ResponseSuccess {
		t.Errorf("the answer is %d, RocketMQ ignores such a registration silently", response.Code)
	}
	expect(t, client, remoting.RequestGetRouteInfoByTopic, []string{"topic", "TopicTest"}, 0,
		strings.ReplaceAll(quotedRoute, "10.0.0.1", "10.0.0.2"))
}

func TestUnregisteringRemovesBrokerAndTopics(t *testing.T) {
	t.Parallel()
	_, client, _, _ := registered(t)
	response := call(t, client, remoting.RequestUnregisterBroker, "", identityFields("broker-a", "10.0.0.1:10911", 0)...)
	if response.Code != remoting.ResponseSuccess {
		t.Errorf("refused: %d %s", response.Code, response.Remark)
	}
	expect(t, client, remoting.RequestGetAllTopicList, nil, 0, `{"topicList":[]}`)
	expect(t, client, remoting.RequestGetBrokerClusterInfo, nil, 0, `{"brokerAddrTable":{},"clusterAddrTable":{}}`)
}

func TestAClosedConnectionRemovesItsBrokersAtOnce(t *testing.T) {
	t.Parallel()
	w, client, _, server := registered(t)
	other := dial(t, server.Addr())
	client.Close()
	wait(t, "the end of the connection", w.closed)
	expect(t, other, remoting.RequestGetAllTopicList, nil, 0, `{"topicList":[]}`)
}

func TestABrokerThatMovedToANewConnectionOutlivesTheOld(t *testing.T) {
	t.Parallel()
	w, client, _, server := registered(t)
	other := dial(t, server.Addr())
	call(t, other, remoting.RequestRegisterBroker, twoTopics, identityFields("broker-a", "10.0.0.1:10911", 0)...)
	client.Close()
	wait(t, "the end of the connection", w.closed)
	expect(t, other, remoting.RequestGetRouteInfoByTopic, []string{"topic", "TopicTest"}, 0, quotedRoute)
}

func TestASilentBrokerExpiresAndIsDisconnected(t *testing.T) {
	t.Parallel()
	w, client, clock, _ := registered(t)
	clock.Add(DefaultBrokerTimeout.Milliseconds())
	if n := w.ExpireBrokers(); n != 0 {
		t.Fatalf("%d brokers expired at their timeout, want none before it has passed", n)
	}
	clock.Add(1)
	if n := w.ExpireBrokers(); n != 1 {
		t.Fatalf("%d brokers expired, want 1", n)
	}
	wait(t, "the end of the connection", client.Done())
	if brokers, topics, routes := w.table.size(); brokers+topics+routes != 0 {
		t.Errorf("%d brokers, %d topics, %d routes are left", brokers, topics, routes)
	}
}

func TestEverySignOfLifePutsOffTheExpiry(t *testing.T) {
	t.Parallel()
	w, client, clock, _ := registered(t)
	signs := []func(){
		func() {
			call(t, client, remoting.RequestBrokerHeartbeat, "", identityFields("broker-a", "10.0.0.1:10911", 0)...)
		},
		func() {
			call(t, client, remoting.RequestQueryDataVersion, "{}", identityFields("broker-a", "10.0.0.1:10911", 0)...)
		},
		func() {
			call(t, client, remoting.RequestRegisterBroker, oneTopic, identityFields("broker-a", "10.0.0.1:10911", 0)...)
		},
	}
	for i, sign := range signs {
		clock.Add(DefaultBrokerTimeout.Milliseconds() - 1)
		sign()
		if n := w.ExpireBrokers(); n != 0 {
			t.Errorf("expired in spite of sign %d", i)
		}
	}
}

func TestABrokerChoosesItsOwnTimeoutWithinReason(t *testing.T) {
	t.Parallel()
	for asked, want := range map[string]time.Duration{
		"10000": 10 * time.Second, "": DefaultBrokerTimeout, "-1": DefaultBrokerTimeout, "999999999999": maxBrokerTimeout,
	} {
		s := open(t, Config{Log: quiet})
		cmd := &remoting.Command{Fields: []remoting.Field{{Key: []byte("heartbeatTimeoutMillis"), Value: []byte(asked)}}}
		if got := s.timeoutMillis(cmd); got != want.Milliseconds() {
			t.Errorf("asked for %q: got %d ms, want %v", asked, got, want)
		}
	}
}

func TestRunLooksForSilentBrokers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := open(t, Config{Log: quiet})
		id := identity{endpoint{"c", "a:1"}, "b", 0}
		if _, err := s.table.register(announcement{identity: id, timeoutMillis: 1000, receivedMillis: time.Now().UnixMilli()}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), DefaultSwitches().ScanInterval+time.Second)
		defer cancel()
		s.Run(ctx)
		if brokers, _, _ := s.table.size(); brokers != 0 {
			t.Error("the broker is still there")
		}
	})
}

func TestDataVersionIsComparedWhole(t *testing.T) {
	t.Parallel()
	_, client, _, _ := registered(t)
	id := identityFields("broker-a", "10.0.0.1:10911", 0)
	const known = `{"counter":3,"stateVersion":0,"timestamp":1700000000000}`
	for body, changed := range map[string]string{
		known: "false",
		`{"timestamp":"1700000000000","counter":3}`: "false",
		strings.Replace(known, "3", "4", 1):         "true",
		strings.Replace(known, ":0,", ":1,", 1):     "true",
		strings.Replace(known, "17", "18", 1):       "true",
	} {
		response := call(t, client, remoting.RequestQueryDataVersion, body, id...)
		if response.Text("changed") != changed || string(response.Body) != known {
			t.Errorf("%s: changed=%s, body %s; want changed=%s", body, response.Text("changed"), response.Body, changed)
		}
	}
	response := call(t, client, remoting.RequestQueryDataVersion, known, identityFields("broker-b", "10.0.0.9:1", 0)...)
	if response.Text("changed") != "true" || len(response.Body) != 0 {
		t.Errorf("unknown broker: changed=%s, body %s", response.Text("changed"), response.Body)
	}
}

func TestWritePermissionIsTakenAndGiven(t *testing.T) {
	t.Parallel()
	_, client, _, _ := registered(t)
	response := call(t, client, remoting.RequestWipeWritePermOfBroker, "", "brokerName", "broker-a")
	if response.Text("wipeTopicCount") != "2" {
		t.Errorf("wiped %q topics, want 2", response.Text("wipeTopicCount"))
	}
	expect(t, client, remoting.RequestGetRouteInfoByTopic, []string{"topic", "TopicTest"}, 0,
		strings.Replace(quotedRoute, `"perm":6`, `"perm":4`, 1))
	response = call(t, client, remoting.RequestAddWritePermOfBroker, "", "brokerName", "broker-a")
	if response.Text("addTopicCount") != "2" {
		t.Errorf("gave %q topics, want 2", response.Text("addTopicCount"))
	}
	expect(t, client, remoting.RequestGetRouteInfoByTopic, []string{"topic", "TopicTest"}, 0, quotedRoute)
}

func TestADeletedTopicHasNoRoute(t *testing.T) {
	t.Parallel()
	_, client, _, _ := registered(t)
	call(t, client, remoting.RequestDeleteTopicInNameserver, "", "topic", "TopicTest", "clusterName", "Other")
	expect(t, client, remoting.RequestGetAllTopicList, nil, 0, `{"topicList":["TBW102","TopicTest"]}`)
	call(t, client, remoting.RequestDeleteTopicInNameserver, "", "topic", "TopicTest", "clusterName", "DefaultCluster")
	expect(t, client, remoting.RequestGetAllTopicList, nil, 0, `{"topicList":["TBW102"]}`)
	call(t, client, remoting.RequestDeleteTopicInNameserver, "", "topic", "TBW102")
	expect(t, client, remoting.RequestGetAllTopicList, nil, 0, `{"topicList":[]}`)
}

func TestAWrongChecksumIsRefused(t *testing.T) {
	t.Parallel()
	_, server, _ := start(t, "127.0.0.1:0")
	client := dial(t, server.Addr())
	sum := int(crc32.ChecksumIEEE([]byte(twoTopics)) & 0x7fffffff)
	id := identityFields("broker-a", "10.0.0.1:10911", 0)
	response := call(t, client, remoting.RequestRegisterBroker, twoTopics, append(id, "bodyCrc32", strconv.Itoa(sum^1))...)
	if response.Code != remoting.ResponseSystemError || string(response.Remark) != "crc32 not match" {
		t.Errorf("got %d %q", response.Code, response.Remark)
	}
	response = call(t, client, remoting.RequestRegisterBroker, twoTopics, append(id, "bodyCrc32", strconv.Itoa(sum))...)
	if response.Code != remoting.ResponseSuccess {
		t.Errorf("right checksum: got %d %q", response.Code, response.Remark)
	}
}

func TestBrokersWithoutANameAreRefused(t *testing.T) {
	t.Parallel()
	_, server, _ := start(t, "127.0.0.1:0")
	client := dial(t, server.Addr())
	for _, fields := range [][]string{
		{},
		identityFields("", "10.0.0.1:10911", 0),
		identityFields("broker-a", "", 0),
		identityFields("broker-a", "10.0.0.1:10911", -1),
		identityFields(strings.Repeat("b", maxNameBytes+1), "10.0.0.1:10911", 0),
	} {
		if response := call(t, client, remoting.RequestRegisterBroker, twoTopics, fields...); response.Code != remoting.ResponseSystemError {
			t.Errorf("%v: got %d, want 1", fields, response.Code)
		}
	}
}

func TestAFullNameserverRefusesAndKeepsWhatItHas(t *testing.T) {
	t.Parallel()
	table := newTable(Limits{Brokers: 2, Routes: 3})
	register := func(name string, topics ...string) error {
		r := registration{topics: map[string]queueData{}}
		for _, topic := range topics {
			r.topics[topic] = queueData{}
		}
		_, err := table.register(announcement{identity: identity{endpoint{"c", name + ":1"}, name, 0}, registration: r})
		return err
	}
	if err := register("a", "x", "y"); err != nil {
		t.Fatal(err)
	}
	if err := register("b", "x", "y"); err == nil {
		t.Error("four routes were taken, three are allowed")
	}
	if err := register("b"); err != nil {
		t.Fatal(err)
	}
	if err := register("b", "z"); err != nil {
		t.Fatal(err)
	}
	if err := register("c"); err == nil {
		t.Error("three brokers were taken, two are allowed")
	}
	if brokers, topics, routes := table.size(); brokers != 2 || topics != 3 || routes != 3 {
		t.Errorf("holds %d brokers, %d topics, %d routes, want 2, 3, 3", brokers, topics, routes)
	}
}

func TestUnknownRequestsAreNotSupported(t *testing.T) {
	t.Parallel()
	_, client, _, _ := registered(t)
	response := call(t, client, remoting.RequestSendMessage, "")
	if response.Code != remoting.ResponseRequestCodeNotSupported || string(response.Remark) != " request type 10 not supported" {
		t.Errorf("got %d %q", response.Code, response.Remark)
	}
	const metadataOfController = 1005 // mqadmin getSyncStateSet
	response = call(t, client, metadataOfController, "")
	if response.Code != remoting.ResponseRequestCodeNotSupported || !strings.Contains(string(response.Remark), "mqadmin haStatus") {
		t.Errorf("who asks for a controller gets %d %q", response.Code, response.Remark)
	}
}

func TestMetricsCountBrokersAndRequests(t *testing.T) {
	t.Parallel()
	w, client, clock, server := registered(t)
	call(t, client, 424242, "")
	call(t, client, remoting.RequestRegisterBroker, oneTopic, identityFields("broker-b", "10.0.0.2:10911", 0)...)
	call(t, client, remoting.RequestPutKVConfig, "", "namespace", "n", "key", "k", "value", "v")
	call(t, client, remoting.RequestRegisterBroker, twoTopics, identityFields("broker-c", "10.0.0.3:10911", 0)...)
	call(t, client, remoting.RequestUnregisterBroker, "", identityFields("broker-c", "10.0.0.3:10911", 0)...)
	call(t, client, remoting.RequestUnregisterBroker, "", identityFields("broker-c", "10.0.0.3:10911", 0)...)
	call(t, dial(t, server.Addr()), remoting.RequestRegisterBroker, twoTopics, identityFields("broker-d", "10.0.0.4:10911", 0)...)
	clock.Add(DefaultBrokerTimeout.Milliseconds() + 1)
	call(t, client, remoting.RequestBrokerHeartbeat, "", identityFields("broker-a", "10.0.0.1:10911", 0)...)
	w.ExpireBrokers()
	var out bytes.Buffer
	w.WritePrometheus(&out)
	for _, line := range []string{
		"apogee_nameserver_brokers 1\n", "apogee_nameserver_topics 2\n", "apogee_nameserver_routes 2\n",
		`apogee_nameserver_requests_total{request="103",response="0"} 3` + "\n",
		`apogee_nameserver_requests_total{request="103",response="1"} 1` + "\n",
		"apogee_nameserver_registrations_refused_total 1\n", "apogee_nameserver_key_values 1\n",
		`apogee_nameserver_brokers_removed_total{cause="expired"} 1` + "\n",
		`apogee_nameserver_brokers_removed_total{cause="disconnected"} 0` + "\n",
		`apogee_nameserver_brokers_removed_total{cause="unregistered"} 1` + "\n",
		`apogee_nameserver_requests_total{request="unknown",response="3"} 1` + "\n",
	} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("missing %q in\n%s", line, out.String())
		}
	}
}
