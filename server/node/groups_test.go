package node

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apogeemq/apogee/server/remoting"
)

// setGroup tells nodes about a group and returns the last answer.
func (c *cluster) setGroup(name string, state groupState, force bool, which ...int) *remoting.Command {
	c.t.Helper()
	var answer *remoting.Command
	for _, w := range which {
		answer = call(c.t, c.nodes[w].Addresses().Broker, remoting.RequestSetGroup, "", "group", name, "state", string(state), "force", fmt.Sprint(force))
	}
	return answer
}

// permissions are what clients may do with a topic, by broker.
func (c *cluster) permissions(topic string) map[string]int {
	c.t.Helper()
	response := call(c.t, c.ns.Addresses().Nameserver, remoting.RequestGetRouteInfoByTopic, "", "topic", topic, "acceptStandardJsonOnly", "true")
	var route struct {
		Queues []struct {
			Broker     string `json:"brokerName"`
			Permission int    `json:"perm"`
		} `json:"queueDatas"`
	}
	if err := json.Unmarshal(response.Body, &route); err != nil {
		c.t.Fatal(err)
	}
	permissions := make(map[string]int)
	for _, q := range route.Queues {
		permissions[q.Broker] = q.Permission
	}
	return permissions
}

func TestGroupsComeAndGoWhileTheClusterRuns(t *testing.T) {
	t.Parallel()
	c := clusterOf(t, groupPerNode)
	c.up(0, 1, 2)
	sendTo(t, c.nodes[0].shards[0].address, "Old", "x")
	if answer := c.setGroup("n3", groupOpen, false, 0, 1); answer.Code != remoting.ResponseSuccess {
		t.Fatalf("add a group: %d %s", answer.Code, answer.Remark)
	}
	list := c.setGroup("n3", groupOpen, false, 1) // again does nothing
	var groups groupList
	if err := json.Unmarshal(list.Body, &groups); err != nil || len(groups.Groups) != 4 || groups.Groups[3].Waits == "" || groups.Node != "n1" {
		t.Errorf("a group that one node doesn't know is shown as %s", list.Body)
	}
	c.setGroup("n3", groupOpen, false, 2)
	c.until("the new group to have the topics of the others", func() bool { return slices.Contains(c.brokersOf("Old"), "broker-a-n3") })

	down(t, c.nodes[0])
	c.nodes[0] = nil
	c.up(0)
	added := c.nodes[0].hosted("broker-a-n3")
	if added == nil {
		t.Fatal("a node has forgotten the group")
	}
	sendTo(t, added.address, "Old", "to the new group")
	if answer := c.setGroup("n3", groupRemoved, false, 0); answer.Code == remoting.ResponseSuccess {
		t.Error("a group that takes messages is removed")
	}

	c.setGroup("n3", groupDrained, false, 0, 1, 2)
	c.until("no client to be sent to the group", func() bool { return c.permissions("Old")["broker-a-n3"] == 4 })
	leader := slices.IndexFunc(c.nodes, func(n *Node) bool { return n.hosted("broker-a-n3").replica.Role().Leads })
	answer := c.setGroup("n3", groupRemoved, false, leader)
	if want := "1 messages wait for a consumer"; answer.Code == remoting.ResponseSuccess || !strings.Contains(string(answer.Remark), want) {
		t.Errorf("a group with a message is removed: %d %s, want %q", answer.Code, answer.Remark, want)
	}
	down(t, c.nodes[1])
	c.nodes[1] = nil
	c.up(1)
	if s := c.nodes[1].hosted("broker-a-n3"); s == nil || s.permission.Load() != 4 {
		t.Error("a node has forgotten that the group is drained")
	}
	c.setGroup("n3", groupRemoved, true, 0, 1, 2)
	c.until("the route to lose the group", func() bool { return len(c.brokersOf("Old")) == 3 })
	if _, err := os.Stat(filepath.Join(c.configs[0].StoreDir, "broker-a-n3", logDir)); err != nil {
		t.Errorf("the folder of a removed group: %v", err)
	}
}

func TestOnlyAClusterHasGroupsThatComeAndGo(t *testing.T) {
	t.Parallel()
	n, _ := up(t, small(t, t.TempDir()))
	defer down(t, n)
	if answer := call(t, n.Addresses().Broker, remoting.RequestSetGroup, "", "group", "n1", "state", "open"); answer.Code != remoting.ResponseRequestCodeNotSupported {
		t.Errorf("a broker by itself answers %d %s", answer.Code, answer.Remark)
	}
}

func TestTheStatesOfGroupsAreReadAsTheyWereWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if states, err := readGroupStates(dir); err != nil || len(states) > 0 {
		t.Fatalf("without a file: %v, %v", states, err)
	}
	if err := (groupStates{"n3": groupDrained, "n10": groupOpen}).with("n0", groupRemoved).write(dir); err != nil {
		t.Fatal(err)
	}
	states, err := readGroupStates(dir)
	if err != nil || len(states) != 3 || states["n3"] != groupDrained || states["n10"] != groupOpen || states["n0"] != groupRemoved {
		t.Errorf("got %v, %v", states, err)
	}
	for _, wrong := range []string{"n3=shut\n", "three=open\n", "n3\n"} {
		if err := os.WriteFile(filepath.Join(dir, groupStatesName), []byte(wrong), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readGroupStates(dir); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

// FuzzGroupStates: whatever the file holds becomes states that a node can run
// and write again, or an error.
func FuzzGroupStates(f *testing.F) {
	f.Add((groupStates{"n3": groupDrained, "n10": groupOpen, "n0": groupRemoved}).text())
	f.Add("")
	f.Add("n3=open")
	f.Add(" n3=open \r\nn3=removed\n")
	f.Add("n3=open\n\n")
	f.Add("n99999=open\n")
	f.Fuzz(func(t *testing.T, text string) {
		states, err := parseGroupStates(text)
		if err != nil {
			return
		}
		if len(states) > strings.Count(text, "=") {
			t.Fatalf("%q names %d groups", text, len(states))
		}
		for name, state := range states {
			if err := checkGroupState(name, state); err != nil || shardNumber(name) < 0 {
				t.Fatalf("%q is read as group %q, state %q, number %d: %v", text, name, state, shardNumber(name), err)
			}
		}
		again, err := parseGroupStates(states.text())
		if err != nil || !maps.Equal(again, states) {
			t.Fatalf("%v is written as %q and read as %v, %v", states, states.text(), again, err)
		}
	})
}
