package nameserver

import (
	"context"
	"strings"
	"testing"

	"github.com/apogeemq/apogee/server/remoting"
)

func slaveActing(id int64) announcement {
	return announcement{
		identity:     identity{endpoint{"c", string(rune('a'+id)) + ":1"}, "b", id},
		registration: registration{topics: map[string]queueData{"T": {permission: 6}, "U": {permission: 6}}},
		actingMaster: true, knowsActing: true,
	}
}

func permissionOf(t *testing.T, tab *table) int32 {
	t.Helper()
	q, ok := tab.topics["T"]["b"]
	if !ok {
		t.Fatal("topic T has no route")
	}
	return q.permission
}

func TestAMasterThatLeavesTakesTheWritePermissionAlong(t *testing.T) {
	t.Parallel()
	tab := newTable(DefaultLimits)
	for id := range int64(2) {
		if _, err := tab.register(slaveActing(id)); err != nil {
			t.Fatal(err)
		}
	}
	if p := permissionOf(t, tab); p != 6 {
		t.Fatalf("permission %d with a master, want 6", p)
	}
	tab.unregister(slaveActing(0).identity)
	if p := permissionOf(t, tab); p != 4 {
		t.Errorf("permission %d without a master, want 4", p)
	}
}

func TestTheFirstSlaveBringsTopicsReadOnlyWhileThereIsNoMaster(t *testing.T) {
	t.Parallel()
	tab := newTable(DefaultLimits)
	if _, err := tab.register(slaveActing(1)); err != nil {
		t.Fatal(err)
	}
	if p := permissionOf(t, tab); p != 4 {
		t.Errorf("permission %d from a slave alone, want 4", p)
	}
	second := slaveActing(2)
	second.topics = map[string]queueData{"V": {}, "W": {}}
	if _, err := tab.register(second); err != nil {
		t.Fatal(err)
	}
	if _, ok := tab.topics["V"]; ok {
		t.Error("the second slave brought topics")
	}
	if _, err := tab.register(slaveActing(0)); err != nil {
		t.Fatal(err)
	}
	if p := permissionOf(t, tab); p != 6 {
		t.Errorf("permission %d once the master is here, want 6", p)
	}
}

func TestASlaveTooOldToActBringsNoTopics(t *testing.T) {
	t.Parallel()
	tab := newTable(DefaultLimits)
	old := slaveActing(1)
	old.actingMaster, old.knowsActing = false, false
	if _, err := tab.register(old); err != nil {
		t.Fatal(err)
	}
	if len(tab.topics) != 0 {
		t.Errorf("topics %v came from a slave", tab.topics)
	}
}

// member is a broker of a group that says whether it passes requests on.
func member(id int64, term int64, forwards bool) announcement {
	return announcement{
		identity: identity{endpoint{"c", string(rune('a'+id)) + ":1"}, "b", id},
		registration: registration{version: DataVersion{StateVersion: term},
			topics: map[string]queueData{"T": {permission: 6}, "U": {permission: 6}}},
		knowsActing: true, forwards: forwards,
	}
}

func mustRegister(t *testing.T, tab *table, all ...announcement) {
	t.Helper()
	for _, a := range all {
		if _, err := tab.register(a); err != nil {
			t.Fatal(err)
		}
	}
}

// wantRoute compares the addresses and the permission in the route of topic T.
func wantRoute(t *testing.T, tab *table, addresses string) {
	t.Helper()
	route, found := tab.appendRoute(nil, "T", "", fastjson)
	if want := `{"brokerDatas":[{"brokerAddrs":` + addresses + `,`; !found || !strings.HasPrefix(string(route), want) ||
		!strings.Contains(string(route), `"perm":6`) {
		t.Errorf("the route is %s, want %s and perm 6", route, want)
	}
}

func TestAMemberThatPassesRequestsOnIsTheMasterInRoutesBetweenTwoMasters(t *testing.T) {
	t.Parallel()
	tab := newTable(DefaultLimits)
	first := member(0, 1, true)
	mustRegister(t, tab, first, member(3, 1, true), member(2, 1, true))
	wantRoute(t, tab, `{0:"a:1",2:"c:1",3:"d:1"}`)
	tab.unregister(first.identity) // its process has died
	wantRoute(t, tab, `{0:"c:1",2:"c:1",3:"d:1"}`)
	if info := string(tab.appendClusterInfo(nil)); !strings.Contains(info, `"brokerAddrs":{2:"c:1",3:"d:1"}`) {
		t.Errorf("operators are told of a master: %s", info)
	}
	if group := string(tab.appendMemberGroup(nil, "c", "b")); !strings.Contains(group, `"brokerAddrs":{2:"c:1",3:"d:1"}`) {
		t.Errorf("brokers are told of a master: %s", group)
	}
	next := member(3, 2, true)
	next.brokerID = 0
	mustRegister(t, tab, next)
	wantRoute(t, tab, `{0:"d:1",2:"c:1"}`)
	first.brokerID, first.version.StateVersion = 1, 2
	mustRegister(t, tab, first) // it is back, and follows
	wantRoute(t, tab, `{0:"d:1",1:"a:1",2:"c:1"}`)
}

func TestAMasterThatFollowsStandsInForTheNextOne(t *testing.T) {
	t.Parallel()
	tab := newTable(DefaultLimits)
	first := member(0, 1, true)
	mustRegister(t, tab, first, member(2, 1, true))
	first.brokerID, first.version.StateVersion = 1, 2
	mustRegister(t, tab, first)
	wantRoute(t, tab, `{0:"a:1",1:"a:1",2:"c:1"}`)
}

func TestASlaveThatPassesNothingOnIsNoMasterInRoutes(t *testing.T) {
	t.Parallel()
	tab := newTable(DefaultLimits)
	mustRegister(t, tab, member(0, 1, false), member(1, 1, false))
	tab.unregister(member(0, 1, false).identity)
	wantRoute(t, tab, `{1:"b:1"}`)
	mustRegister(t, tab, member(3, 1, true)) // one that does stands in, whatever its id
	wantRoute(t, tab, `{0:"d:1",1:"b:1",3:"d:1"}`)
}

func TestARegistrarSaysThatItsBrokerPassesRequestsOn(t *testing.T) {
	t.Parallel()
	topics := &topicList{}
	topics.set(topic("T", 4), topic("U", 1))
	w, s, _ := start(t, "127.0.0.1:0")
	r := NewRegistrar(RegistrarConfig{
		Nameservers: []string{s.Addr().String()}, Topics: topics, Log: quiet,
		Broker: Broker{Cluster: "c", Name: "b", ID: 2, Term: 1, Address: "10.0.0.1:10911", Forwards: true},
	})
	t.Cleanup(func() { r.Stop(context.Background()) })
	w.waitRequest(t, remoting.RequestRegisterBroker)
	wantRoute(t, w.table, `{0:"10.0.0.1:10911",2:"10.0.0.1:10911"}`)
}
