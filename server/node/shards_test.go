package node

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/apogeemq/apogee/server/remoting"
)

// groupPerNode are the keys of node i of a cluster.
func groupPerNode(peers string, i int) []string {
	return []string{"clusterPeers=" + peers, fmt.Sprint("clusterSelfId=n", i)}
}

// leaders are the nodes that lead the groups, -1 for none or several.
func (c *cluster) leaders() []int {
	all := []int{-1, -1, -1}
	for i, n := range c.nodes {
		if n == nil {
			continue
		}
		for k, s := range n.shards {
			if s.replica.Role().Leads {
				all[k] = i
			}
		}
	}
	return all
}

func TestAClusterHasAGroupForEachNodeAndSpreadsThemAgain(t *testing.T) {
	t.Parallel()
	c := clusterOf(t, groupPerNode, "leaderReturnDelayMs=500")
	c.up(0, 1, 2)
	c.until("each node to lead its group", func() bool { return slices.Equal(c.leaders(), []int{0, 1, 2}) })
	sendTo(t, c.nodes[0].shards[0].address, "Auto", "creates a topic")
	c.until("the topic to be on all groups", func() bool { return len(c.brokersOf("Auto")) == 3 })
	for k := range c.nodes {
		if got := sendTo(t, c.nodes[(k+1)%3].shards[k].address, "T", "through a follower").Text("queueOffset"); got != "0" {
			t.Errorf("group n%d: the first message has offset %s", k, got)
		}
	}
	c.until("a route over all groups", func() bool { return len(c.brokersOf("T")) == 3 })
	if got, want := c.brokersOf("T"), []string{"broker-a-n0", "broker-a-n1", "broker-a-n2"}; !slices.Equal(got, want) {
		t.Errorf("the topic is on %q, want %q", got, want)
	}

	down(t, c.nodes[2])
	c.nodes[2] = nil
	c.until("another node to lead the third group", func() bool { l := c.leaders(); return l[2] == 0 || l[2] == 1 })
	leader := c.nodes[c.leaders()[2]]
	sendTo(t, leader.shards[2].address, "T", "while its node is away")
	c.up(2)
	c.until("the node to have its group back", func() bool { return slices.Equal(c.leaders(), []int{0, 1, 2}) })
	c.until("the third group to take messages from its node", func() bool {
		return call(t, c.nodes[2].shards[2].address, remoting.RequestGetMaxOffset, "", "topic", "T", "queueId", "0").Text("offset") == "2"
	})
	_, metrics := get(t, c.nodes[2], "/metrics")
	for _, want := range []string{
		`apogee_raft_role{broker="broker-a-n2",group="broker-a-n2",node="n2",role="leader"} 1`,
		`apogee_raft_role{broker="broker-a-n0",group="broker-a-n0",node="n2",role="follower"} 1`,
		`apogee_remoting_connections{broker="broker-a-n1",listener="broker"} `, `apogee_raft_term{broker="broker-a-n0"} `,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
}

// brokersOf are the names of the brokers that have a topic.
func (c *cluster) brokersOf(topic string) []string {
	var names []string
	for _, b := range c.routes(topic) {
		names = append(names, b.Name)
	}
	slices.Sort(names)
	return names
}

func TestEachFolderIsABrokerThatStaysTheSame(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	a, b := filepath.Join(root, "a"), filepath.Join(root, "b")
	n, _ := up(t, small(t, a+","+b))
	for i, s := range n.shards {
		if want := fmt.Sprint("broker-a-n", i); s.config.BrokerName != want {
			t.Errorf("broker %d is called %s, want %s", i, s.config.BrokerName, want)
		}
		sent := sendTo(t, s.address, "T", "x")
		if code, body := get(t, n, "/track?topic=T&id="+sent.Text("msgId")); code != 200 || !strings.Contains(body, s.config.BrokerName) {
			t.Errorf("the message of %s is not found: %d %s", s.config.BrokerName, code, body)
		}
	}
	if code, _ := get(t, n, "/track?id=none"); code != 404 {
		t.Errorf("a message that no broker has: %d", code)
	}
	down(t, n)
	alone := filepath.Join(root, "alone")
	n, _ = up(t, small(t, alone))
	down(t, n)
	for _, dirs := range []string{b + "," + a, b, alone + "," + b} {
		if _, err := Start(t.Context(), small(t, dirs), Options{Log: slog.New(slog.DiscardHandler)}); !errors.Is(err, errMoved) {
			t.Errorf("storePathRootDir=%s: %v", dirs, err)
		}
	}
	n, _ = up(t, small(t, ","+b))
	defer down(t, n)
	if got := call(t, n.Addresses().Broker, remoting.RequestGetMaxOffset, "", "topic", "T", "queueId", "0").Text("offset"); got != "1" || len(n.shards) != 1 {
		t.Errorf("%d brokers, the second folder's has offset %s", len(n.shards), got)
	}
	if _, err := os.Stat(filepath.Join(b, "broker-a-n1", logDir)); err != nil {
		t.Error(err)
	}
}

func TestNamesPortsAndFoldersFollowFromTheNumber(t *testing.T) {
	t.Parallel()
	const peers = "clusterPeers=n2-10.0.0.3:40911;n0-10.0.0.1:40911;n1-10.0.0.2:40911"
	c, err := Load("", []string{peers, "clusterSelfId=n1", "clusterSecret=0123456789abcdef", "allowAnonymous=true", "storePathRootDir=/a,/b", "brokerName=x"})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range c.shards() {
		got = append(got, fmt.Sprint(s.BrokerName, " ", s.BrokerPort, " ", s.StoreDir, " ", s.Replication.Prefer))
	}
	want := []string{"x-n0 10911 /a/x-n0 n0", "x-n1 10921 /b/x-n1 n1", "x-n2 10931 /a/x-n2 n2"}
	if !slices.Equal(got, want) {
		t.Errorf("brokers are\n%q, want\n%q", got, want)
	}
	if fmt.Sprint(c.BindAddress, c.Nameservers) != "10.0.0.2 [10.0.0.3:9876 10.0.0.1:9876]" {
		t.Errorf("listens on %v, other nameservers %v", c.BindAddress, c.Nameservers)
	}
	if p := c.shards()[2].Properties(); !strings.Contains(p, "brokerName=x-n2\n") || !strings.Contains(p, "listenPort=10931\n") {
		t.Errorf("a broker's settings are\n%s", p)
	}
	if later := c.shard("n4"); later.Replication.Prefer != "n1" {
		t.Errorf("a fifth group is led by %s", later.Replication.Prefer)
	}
}

func TestClusterSettingsThatDontGoTogetherAreRefused(t *testing.T) {
	t.Parallel()
	const peers = "clusterPeers=n0-127.0.0.1:40911;n1-127.0.0.1:40912;n2-127.0.0.1:40913"
	for want, pairs := range map[string][]string{
		"are both given":                                                   {peers, "clusterSelfId=n0", "enableDLegerCommitLog=true"},
		"dLeger are both given":                                            {peers, "clusterSelfId=n0", "dLegerSelfId=n0"},
		"clusterSelfId=n3 names none of clusterPeers":                      {peers, "clusterSelfId=n3"},
		"clusterSelfId=n0 without clusterPeers":                            {"clusterSelfId=n0"},
		"nothing keeps others from taking part":                            {"clusterPeers=n0-10.0.0.1:40911", "clusterSelfId=n0", "allowAnonymous=true"},
		"10.0.0.1 lets everybody":                                          {"clusterPeers=n0-10.0.0.1:40911", "clusterSelfId=n0", "clusterSecret=0123456789abcdef"},
		"adminListenPort and listenPort of broker-a-n1 - 2 are both 10919": {peers, "clusterSelfId=n0", "adminListenPort=10919"},
		"are both 40911":                                                   {peers, "clusterSelfId=n0", "listenPort=40891"},
		"and there is none":                                                {peers, "clusterSelfId=n0", "listenPort=65530"},
		"twice":                                                            {"storePathRootDir=/a,/a"},
		"names no folder":                                                  {"storePathRootDir=,"},
		"an empty place":                                                   {peers, "clusterSelfId=n0", "storePathRootDir=/a,,/b"},
		"one group, which has one folder":                                  {"enableDLegerCommitLog=true", "dLegerPeers=n0-127.0.0.1:40911", "dLegerSelfId=n0", "storePathRootDir=/a,/b"},
	} {
		if _, err := Load("", pairs); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", pairs, err, want)
		}
	}
}

func TestEverySampleGetsTheLabelOnce(t *testing.T) {
	t.Parallel()
	const plain = "# TYPE a counter\na 1\nb{x=\"y z\"} 2\nc{x=\"1\",broker=\"other\"} 3\nd{broker=\"other\"} 4\ne{the_broker=\"x\"} 5\n"
	const want = "# TYPE a counter\na{broker=\"n\"} 1\nb{broker=\"n\",x=\"y z\"} 2\nc{x=\"1\",broker=\"other\"} 3\nd{broker=\"other\"} 4\ne{broker=\"n\",the_broker=\"x\"} 5\n"
	if got := string(labelled([]byte(plain), `broker="n"`)); got != want {
		t.Errorf("got\n%s, want\n%s", got, want)
	}
}
