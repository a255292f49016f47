package node

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
)

// TestTheLeaderShowsAConsumerOnceThatHasRegisteredWithAllNodes does what Java's
// clients do: their heartbeats go to all brokers of a route, and those of
// followers are passed on.
func TestTheLeaderShowsAConsumerOnceThatHasRegisteredWithAllNodes(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.up(0, 1, 2)
	leader := c.master()
	send(t, c.nodes[leader], "T", "x")
	const heartbeat = `{"clientID":"client","consumerDataSet":[{"groupName":"G","consumeType":"CONSUME_PASSIVELY","messageModel":"CLUSTERING",
		"consumeFromWhere":"CONSUME_FROM_LAST_OFFSET","subscriptionDataSet":[{"topic":"T","subString":"*","subVersion":1}]}],
		"producerDataSet":[{"groupName":"PG"}]}`
	register := func(which int) *remoting.Client {
		client, err := remoting.Dial(t.Context(), c.nodes[which].Addresses().Broker.String(), remoting.ClientOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(client.Close)
		response, err := client.Call(t.Context(), &remoting.Request{Code: remoting.RequestHeartBeat, Body: []byte(heartbeat)})
		if err != nil || response.Code != remoting.ResponseSuccess {
			t.Fatalf("heartbeat to n%d: %v %v", which, response, err)
		}
		return client
	}
	shown := func(code int32, field, group string) (addresses []string) {
		var v struct {
			Connections []struct{ ClientAddr string } `json:"connectionSet"`
		}
		response := call(t, c.nodes[leader].Addresses().Broker, code, "", field, group)
		if response.Code != remoting.ResponseSuccess || json.Unmarshal(response.Body, &v) != nil {
			t.Fatalf("connections of %s: %d %s %s", group, response.Code, response.Remark, response.Body)
		}
		for _, connection := range v.Connections {
			addresses = append(addresses, connection.ClientAddr)
		}
		return addresses
	}
	expect := func(when, want string) {
		t.Helper()
		for name, got := range map[string][]string{
			"consumers": shown(remoting.RequestGetConsumerConnectionList, "consumerGroup", "G"),
			"producers": shown(remoting.RequestGetProducerConnectionList, "producerGroup", "PG"),
		} {
			if len(got) != 1 || want != "" && got[0] != want {
				t.Errorf("%s: %s are shown at %q, want one at %q", when, name, got, want)
			}
		}
	}
	for i := range c.nodes {
		if i != leader {
			register(i)
		}
	}
	expect("by the followers", "")
	expect("by all", register(leader).Conn().LocalAddr().String())
}

// TestAMessageIsShownAtTheBrokerThatLeads looks a message up under another
// leader than the one that stored it.
func TestAMessageIsShownAtTheBrokerThatLeads(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.up(0, 1, 2)
	first := c.master()
	response := call(t, c.nodes[first].Addresses().Broker, remoting.RequestSendMessageV2, "x", "a", "PG", "b", "T", "c", "TBW102", "d", "4", "e", "0",
		"f", "0", "g", "1700000000000", "h", "0", "i", "KEYS\x01key\x02", "j", "0", "k", "false", "m", "false")
	position, err := record.ParseMessageID(response.Text("msgId"))
	if err != nil {
		t.Fatalf("send: %d %s, %v", response.Code, response.Remark, err)
	}
	if err := c.nodes[first].Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	c.nodes[first] = nil
	second := c.nodes[c.master(first)]
	for name, response := range map[string]*remoting.Command{
		"by id": call(t, second.Addresses().Broker, remoting.RequestViewMessageByID, "", "offset", fmt.Sprint(position)),
		"by key": call(t, second.Addresses().Broker, remoting.RequestQueryMessage, "", "topic", "T", "key", "key", "maxNum", "8",
			"beginTimestamp", "0", "endTimestamp", "9000000000000"),
	} {
		r, _, err := record.Decode(response.Body)
		if err != nil || string(r.Body) != "x" || r.StoreHost.String() != second.shards[0].client {
			t.Errorf("%s: code %d, %q at %v, want it at %v, %v", name, response.Code, r.Body, r.StoreHost, second.shards[0].client, err)
		}
	}
}

// TestOperatorsAreToldOfAReplicaWhoseStateDiffers has a follower apply an event
// that isn't in the log.
func TestOperatorsAreToldOfAReplicaWhoseStateDiffers(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	for i := range c.configs {
		c.configs[i].Replication.Compare = 20 * time.Millisecond
	}
	c.up(0, 1, 2)
	leader := c.master()
	send(t, c.nodes[leader], "T", "x")
	astray := (leader + 1) % 3
	e := c.nodes[astray].shards[0].replica.Engine()
	d := event.Draft{Kind: event.KindOffsets, Payload: event.Bytes(event.AppendOffsetCommits(nil, []event.OffsetCommit{{Group: "stray", Offset: 7}}))}
	encoded := make(event.Event, d.EncodedBytes())
	d.Encode(encoded, e.Log().Meta().Log.Seed())
	e.Offsets().Apply(projection.Place{}, encoded)
	send(t, c.nodes[leader], "T", "y")

	var told []differenceView
	c.until("the leader to name the replica", func() bool {
		v, _ := c.replicas(c.nodes[leader], remoting.RequestGetReplicas)
		told = v.Health.Differ
		return len(told) > 0
	})
	if len(told) != 1 || told[0].Peer != fmt.Sprint("n", astray) || told[0].Frame == 0 || !slices.Equal(told[0].Parts, []string{"offset"}) {
		t.Errorf("told %+v, want the offsets of n%d", told, astray)
	}
	_, metrics := get(t, c.nodes[leader], "/metrics")
	for _, want := range []string{fmt.Sprintf(`apogee_raft_peer_state_differs{peer="n%d",`, astray), `apogee_raft_state_comparisons_total{result="left_out"}`} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	if said := c.logs[leader].String(); !strings.Contains(said, "level=ERROR") || !strings.Contains(said, "stop one after the other") {
		t.Errorf("the leader's log doesn't say what helps")
	}
	if v, _ := c.replicas(c.nodes[astray], remoting.RequestGetReplicas); len(v.Health.Differ) > 0 {
		t.Errorf("a follower names %+v", v.Health.Differ)
	}
	send(t, c.nodes[leader], "T", "all go on")
}
