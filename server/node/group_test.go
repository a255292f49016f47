package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apogeemq/apogee/replication/transport/porttest"
	"github.com/apogeemq/apogee/server/remoting"
)

// cluster is a nameserver and three nodes.
type cluster struct {
	t       *testing.T
	ns      *Node
	configs []Config
	nodes   []*Node // nil where one is down
	logs    []*lines
}

func freeAddresses(t *testing.T, count int) []string {
	t.Helper()
	var all []string
	for range count {
		all = append(all, porttest.Address(t))
	}
	return all
}

// oneGroup are the keys of node i of one group.
func oneGroup(peers string, i int) []string {
	return []string{"enableDLegerCommitLog=true", "dLegerGroup=g", "dLegerPeers=" + peers, fmt.Sprint("dLegerSelfId=n", i)}
}

func newCluster(t *testing.T, more ...string) *cluster {
	t.Helper()
	return clusterOf(t, oneGroup, more...)
}

func clusterOf(t *testing.T, keys func(peers string, i int) []string, more ...string) *cluster {
	t.Helper()
	c := &cluster{t: t}
	var root = t.TempDir()
	t.Cleanup(func() {
		for _, n := range append(c.nodes, c.ns) {
			if n != nil {
				_ = n.Stop(context.Background())
			}
		}
		if t.Failed() {
			for i, l := range c.logs {
				t.Logf("n%d said:\n%s", i, l)
			}
		}
	})
	ns, err := LoadRole(NameserverRole, "", []string{"listenPort=0", "adminListenPort=0"})
	if err != nil {
		t.Fatal(err)
	}
	c.ns, _ = up(t, ns)
	addresses := freeAddresses(t, 3)
	peers := fmt.Sprintf("n0-%s;n1-%s;n2-%s", addresses[0], addresses[1], addresses[2])
	for i := range addresses {
		c.configs = append(c.configs, small(t, fmt.Sprint(root, "/", i), slices.Concat([]string{
			"namesrvEnable=false", "namesrvAddr=" + c.ns.Addresses().Nameserver.String(), "clusterSecret=a secret of this test",
			"electionTimeoutMs=1000", "flushStallMs=10000",
		}, keys(peers, i), more)...))
		c.logs = append(c.logs, &lines{})
	}
	c.nodes = make([]*Node, len(c.configs))
	return c
}

// up starts nodes side by side.
func (c *cluster) up(which ...int) {
	c.t.Helper()
	var starting sync.WaitGroup
	failed := make([]error, len(which))
	for i, w := range which {
		starting.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			c.nodes[w], failed[i] = Start(ctx, c.configs[w], Options{Version: "test", Log: slog.New(slog.NewTextHandler(c.logs[w], nil))})
		})
	}
	starting.Wait()
	if err := errors.Join(failed...); err != nil {
		c.t.Fatal(err)
	}
}

// until waits for a condition.
func (c *cluster) until(what string, condition func() bool) {
	c.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	again := time.NewTicker(5 * time.Millisecond)
	defer again.Stop()
	for !condition() {
		select {
		case <-again.C:
		case <-deadline.C:
			c.t.Fatalf("%s: not after %v", what, patience)
		}
	}
}

// brokerRoute is a broker in the route of a topic.
type brokerRoute struct {
	Name      string            `json:"brokerName"`
	Addresses map[string]string `json:"brokerAddrs"`
}

// route is the ids of the first broker with their addresses as clients are told.
func (c *cluster) route(topic string) map[string]string {
	c.t.Helper()
	if all := c.routes(topic); len(all) > 0 {
		return all[0].Addresses
	}
	return nil
}

func (c *cluster) routes(topic string) []brokerRoute {
	c.t.Helper()
	response := call(c.t, c.ns.Addresses().Nameserver, remoting.RequestGetRouteInfoByTopic, "", "topic", topic, "acceptStandardJsonOnly", "true")
	var route struct {
		Brokers []brokerRoute `json:"brokerDatas"`
	}
	if response.Code != remoting.ResponseSuccess || json.Unmarshal(response.Body, &route) != nil {
		return nil
	}
	return route.Brokers
}

// master waits until clients are told that a node is the master, and returns
// which.
func (c *cluster) master(but ...int) int {
	c.t.Helper()
	master := -1
	c.until("a master in the route", func() bool {
		address := c.route("TBW102")["0"]
	nodes:
		for i, n := range c.nodes {
			for _, b := range but {
				if i == b {
					continue nodes
				}
			}
			if n != nil && n.shards[0].client == address && n.shards[0].replica.Role().Leads {
				master = i
				return true
			}
		}
		return false
	})
	return master
}

func (c *cluster) replicas(n *Node, code int32, fields ...string) (groupView, *remoting.Command) {
	c.t.Helper()
	response := call(c.t, n.Addresses().Broker, code, "", fields...)
	var v groupView
	if response.Code == remoting.ResponseSuccess {
		if err := json.Unmarshal(response.Body, &v); err != nil {
			c.t.Fatal(err)
		}
	}
	return v, response
}

func TestAGroupHasOneMasterAndAnotherTakesOver(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.up(0, 1, 2)
	first := c.master()
	for i := range 20 {
		send(t, c.nodes[first], "T", fmt.Sprint("message ", i))
	}
	c.until("all nodes to be in the route", func() bool { return len(c.route("T")) == 3 })
	for id, address := range c.route("T") {
		for i, n := range c.nodes {
			if want := fmt.Sprint(i + 1); n.shards[0].client == address && i != first && id != want {
				t.Errorf("n%d has broker id %s, want %s", i, id, want)
			}
		}
	}
	follower := c.nodes[(first+1)%3]
	if got := send(t, follower, "T", "through a follower").Text("queueOffset"); got != "20" {
		t.Errorf("a message through a follower has offset %s, want 20", got)
	}

	down(t, c.nodes[first])
	c.nodes[first] = nil
	second := c.master(first)
	if got := send(t, c.nodes[second], "T", "more").Text("queueOffset"); got != "21" {
		t.Errorf("the first message on the new master has offset %s, want 21", got)
	}
	c.up(first)
	c.until("the old master to have everything", func() bool {
		response := call(t, c.nodes[first].Addresses().Broker, remoting.RequestGetMaxOffset, "", "topic", "T", "queueId", "0")
		return response.Text("offset") == "22"
	})
}

// sameState reports whether all nodes are at one frame, where they must have the
// same state.
func (c *cluster) sameState() bool {
	c.t.Helper()
	var bodies []string
	frames := map[uint64]bool{}
	for i, n := range c.nodes {
		response := call(c.t, n.Addresses().Broker, remoting.RequestGetState, "")
		var v stateView
		if response.Code != remoting.ResponseSuccess || json.Unmarshal(response.Body, &v) != nil || v.Frame == 0 || len(v.Parts) == 0 {
			c.t.Fatalf("the state of n%d: %d %s %s", i, response.Code, response.Remark, response.Body)
		}
		bodies = append(bodies, string(response.Body))
		frames[v.Frame] = true
	}
	if len(frames) == 1 && (bodies[0] != bodies[1] || bodies[0] != bodies[2]) {
		c.t.Fatalf("the states differ: %q", bodies)
	}
	return len(frames) == 1
}

func TestOperatorsSeeTheGroupAndMoveItsLeadership(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	c.up(0, 1, 2)
	first := c.master()
	send(t, c.nodes[first], "T", "x")
	v, _ := c.replicas(c.nodes[first], remoting.RequestGetReplicas)
	if !v.Leads || v.Leader != fmt.Sprint("n", first) || len(v.Members) != 3 {
		t.Fatalf("the leader shows %+v", v)
	}
	c.until("the lag to be nothing", func() bool {
		v, _ := c.replicas(c.nodes[first], remoting.RequestGetReplicas)
		for _, m := range v.Members {
			if m.LagFrames != 0 || !m.Voter || m.SilentMsec < 0 || m.Service == "" {
				return false
			}
		}
		return true
	})
	c.until("mqadmin's haStatus to count both followers", func() bool {
		ha := call(t, c.nodes[first].Addresses().Broker, remoting.RequestGetBrokerHAStatus, "")
		return strings.Contains(string(ha.Body), `"inSyncSlaveNums":2,"master":true`)
	})
	c.until("all nodes to be at one frame", func() bool { return c.sameState() })
	to := (first + 1) % 3
	if _, response := c.replicas(c.nodes[to], remoting.RequestTransferLeadership, "peer", fmt.Sprint("n", to)); response.Code != remoting.ResponseServiceNotAvailable {
		t.Errorf("a follower transfers leadership: %d %s", response.Code, response.Remark)
	}
	if _, response := c.replicas(c.nodes[first], remoting.RequestTransferLeadership, "peer", fmt.Sprint("n", to)); response.Code != remoting.ResponseSuccess {
		t.Fatalf("transfer: %d %s", response.Code, response.Remark)
	}
	c.until("the route to have the new master", func() bool { return c.master() == to })
	send(t, c.nodes[to], "T", "y")
	if _, response := c.replicas(c.nodes[to], remoting.RequestRemoveReplica, "peer", fmt.Sprint("n", first)); response.Code != remoting.ResponseSuccess {
		t.Fatalf("remove: %d %s", response.Code, response.Remark)
	}
	v, _ = c.replicas(c.nodes[to], remoting.RequestGetReplicas)
	if len(v.Members) != 2 {
		t.Errorf("after the removal there are %+v", v.Members)
	}
	gone := c.configs[first].Replication
	self, _ := gone.self()
	if _, response := c.replicas(c.nodes[to], remoting.RequestAddReplica, "peer", self.Address); response.Code != remoting.ResponseSuccess {
		t.Fatalf("add: %d %s", response.Code, response.Remark)
	}
	_, metrics := get(t, c.nodes[to], "/metrics")
	for _, want := range []string{`apogee_raft_role{group="g",node="n` + fmt.Sprint(to) + `",role="leader"} 1`, "apogee_raft_term ", "apogee_raft_peer_lag_frames{"} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}
