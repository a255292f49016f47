package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/apogeemq/apogee/server/remoting"
)

// newPair is a nameserver, a master (node 0) and its slave (node 1), set up as
// RocketMQ's pairs are.
func newPair(t *testing.T, role BrokerKind, more ...string) *cluster {
	t.Helper()
	c := clusterOf(t, func(string, int) []string { return nil })
	c.configs, c.nodes = nil, make([]*Node, 2)
	root := t.TempDir()
	for i, address := range freeAddresses(t, 2) {
		_, port, _ := net.SplitHostPort(address)
		keys := []string{"namesrvEnable=false", "namesrvAddr=" + c.ns.Addresses().Nameserver.String(),
			"haListenPort=" + port, fmt.Sprint("brokerId=", i), "brokerRole=" + string(role), "slaveTimeout=1000"}
		if i > 0 {
			keys = append(keys, "brokerRole="+string(Slave))
		}
		c.configs = append(c.configs, small(t, fmt.Sprint(root, "/", i), append(keys, more...)...))
	}
	return c
}

// upAgain starts a node that has asked for it.
func (c *cluster) upAgain(which int) {
	c.t.Helper()
	select {
	case <-c.nodes[which].Again():
	case <-time.After(patience):
		c.t.Fatalf("node %d doesn't start again", which)
	}
	down(c.t, c.nodes[which])
	c.up(which)
}

func (c *cluster) inSync(master, want int) {
	c.t.Helper()
	c.until(fmt.Sprint(want, " slaves to be in sync"), func() bool {
		v, _ := c.replicas(c.nodes[master], remoting.RequestGetReplicas)
		return v.Leads && v.SlavesInSync == want
	})
}

// status sends a message and returns the code of the answer, which has its place.
func (c *cluster) status(which int, body string) int32 {
	c.t.Helper()
	r := call(c.t, c.nodes[which].Addresses().Broker, remoting.RequestSendMessageV2, body, "a", "PG", "b", "T", "c", "TBW102",
		"d", "4", "e", "0", "f", "0", "g", "1700000000000", "h", "0", "i", "", "j", "0", "k", "false", "m", "false")
	if r.Text("msgId") == "" || r.Text("queueId") == "" || r.Text("queueOffset") == "" {
		c.t.Errorf("%s: the answer %d %s has no place", body, r.Code, r.Remark)
	}
	return r.Code
}

func TestASyncMasterAndItsSlaveAreFoundThroughTheNameserver(t *testing.T) {
	t.Parallel()
	c := newPair(t, SyncMaster)
	c.up(0, 1)
	c.inSync(0, 1)
	if code := c.status(0, "both"); code != remoting.ResponseSuccess {
		t.Errorf("with a slave: %d", code)
	}
	c.until("both to be in the route", func() bool { return len(c.route("T")) == 2 })
	if r := c.route("T"); r["0"] != c.nodes[0].shards[0].client || r["1"] != c.nodes[1].shards[0].client {
		t.Errorf("the route is %v", r)
	}
	if code := c.status(1, "through the slave"); code != remoting.ResponseSuccess {
		t.Errorf("through the slave: %d", code)
	}
	ha := call(t, c.nodes[0].Addresses().Broker, remoting.RequestGetBrokerHAStatus, "")
	if !strings.Contains(string(ha.Body), `"inSyncSlaveNums":1,"master":true`) {
		t.Errorf("the HA status is %s", ha.Body)
	}
	down(t, c.nodes[1])
	c.nodes[1] = nil
	c.inSync(0, 0)
	if code := c.status(0, "alone"); code != remoting.ResponseSlaveNotAvailable {
		t.Errorf("without a slave: %d", code)
	}
	_, metrics := get(t, c.nodes[0], "/metrics")
	for _, want := range []string{"apogee_slaves_wanted 1", "apogee_slaves_in_sync 0", "apogee_divergent_logs 0"} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("metrics lack %s", want)
		}
	}
	c.up(1)
	c.inSync(0, 1)
	if code := c.status(0, "both again"); code != remoting.ResponseSuccess {
		t.Errorf("with a slave again: %d", code)
	}
}

func TestAMasterAndASlaveChangePlaces(t *testing.T) {
	t.Parallel()
	c := newPair(t, SyncMaster)
	c.up(0, 1)
	c.inSync(0, 1)
	c.status(0, "before")
	if _, r := c.replicas(c.nodes[1], remoting.RequestPromoteReplica); r.Code == remoting.ResponseSuccess {
		t.Error("a slave is promoted beside a living master")
	}
	if _, r := c.replicas(c.nodes[0], remoting.RequestTransferLeadership); r.Code != remoting.ResponseSuccess {
		t.Fatalf("switch: %d %s", r.Code, r.Remark)
	}
	c.until("the route to have them the other way round", func() bool {
		r := c.route("T")
		return r["0"] == c.nodes[1].shards[0].client && r["1"] == c.nodes[0].shards[0].client
	})
	c.inSync(1, 1)
	for i := range c.nodes {
		if code := c.status(i, "after"); code != remoting.ResponseSuccess {
			t.Errorf("node %d: %d", i, code)
		}
	}
	// The log has the roles, not the files.
	down(t, c.nodes[0])
	down(t, c.nodes[1])
	c.up(0, 1)
	c.inSync(1, 1)
	c.until("the slave to know its master", func() bool {
		v, _ := c.replicas(c.nodes[0], remoting.RequestGetReplicas)
		return v.Leader == "n1"
	})
	if got := sendTo(t, c.nodes[0].Addresses().Broker, "T", "later").Text("queueOffset"); got != "3" {
		t.Errorf("the fourth message has offset %s", got)
	}
}

func TestASlaveServesPullsAndIsPromotedWhenTheMasterIsGone(t *testing.T) {
	t.Parallel()
	c := newPair(t, SyncMaster)
	c.up(0, 1)
	c.inSync(0, 1)
	c.status(0, "one")
	slave := c.nodes[1]
	pull := func(n *Node) *remoting.Command {
		return call(t, n.Addresses().Broker, remoting.RequestPullMessage, "", "consumerGroup", "G", "topic", "T", "queueId", "0",
			"queueOffset", "0", "maxMsgNums", "32", "sysFlag", "4", "commitOffset", "0", "suspendTimeoutMillis", "0",
			"subscription", "*", "subVersion", "0", "expressionType", "TAG")
	}
	pull(c.nodes[0]) // the group exists from now on
	c.until("the slave to have it", func() bool {
		m := c.nodes[0].shards[0].replica.Engine().Marks()
		return slave.shards[0].replica.Engine().Marks().Applied >= m.Applied
	})
	down(t, c.nodes[0])
	c.nodes[0] = nil
	c.until("the slave to be alone", func() bool {
		v, _ := c.replicas(slave, remoting.RequestGetReplicas)
		return v.Leader == ""
	})
	if got := call(t, slave.Addresses().Broker, remoting.RequestGetMaxOffset, "", "topic", "T", "queueId", "0").Text("offset"); got != "1" {
		t.Errorf("the slave says that the queue ends with %s", got)
	}
	// A slave that starts again without a master serves, too.
	down(t, slave)
	c.up(1)
	slave = c.nodes[1]
	pulled := pull(slave)
	if pulled.Code != remoting.ResponseSuccess || pulled.Text("suggestWhichBrokerId") != "1" {
		t.Errorf("a pull from the slave: %d %s, go on with broker %s", pulled.Code, pulled.Remark, pulled.Text("suggestWhichBrokerId"))
	}
	if r := call(t, slave.Addresses().Broker, remoting.RequestPromoteReplica, ""); r.Code != remoting.ResponseSuccess {
		t.Fatalf("promote: %d %s", r.Code, r.Remark)
	}
	c.until("the slave to be the master in the route", func() bool { return c.route("T")["0"] == slave.shards[0].client })
	if code := c.status(1, "alone"); code != remoting.ResponseSlaveNotAvailable {
		t.Errorf("the promoted slave answers %d", code)
	}
	c.up(0)
	c.inSync(1, 1)
	if code := c.status(1, "both"); code != remoting.ResponseSuccess {
		t.Errorf("with the old master as slave: %d", code)
	}
	c.until("the old master to be a slave in the route", func() bool { return c.route("T")["1"] == c.nodes[0].shards[0].client })
}

func TestAMasterThatReturnsListsWhatItsHeirNeverGot(t *testing.T) {
	t.Parallel()
	c := newPair(t, SyncMaster)
	c.up(0, 1)
	c.inSync(0, 1)
	c.status(0, "both")
	down(t, c.nodes[1])
	c.inSync(0, 0)
	for range 5 {
		c.status(0, "the slave never gets it")
	}
	down(t, c.nodes[0])
	c.nodes[0] = nil
	c.up(1)
	if r := call(t, c.nodes[1].Addresses().Broker, remoting.RequestPromoteReplica, ""); r.Code != remoting.ResponseSuccess {
		t.Fatalf("promote: %d %s", r.Code, r.Remark)
	}
	c.until("the slave to be the master in the route", func() bool { return c.route("TBW102")["0"] == c.nodes[1].shards[0].client })
	c.up(0)
	c.inSync(1, 1)
	v, _ := c.replicas(c.nodes[0], remoting.RequestGetReplicas)
	if len(v.Divergent) != 1 {
		t.Fatalf("%q is aside, want one folder", v.Divergent)
	}
	segments, _ := filepath.Glob(filepath.Join(c.configs[0].StoreDir, divergentDir, v.Divergent[0], "*.seg"))
	if len(segments) == 0 {
		t.Error("the folder has no segment")
	}
	if got := sendTo(t, c.nodes[1].Addresses().Broker, "T", "next").Text("queueOffset"); got != "1" {
		t.Errorf("the next message has offset %s, want 1: the five are not in the log", got)
	}
	_, metrics := get(t, c.nodes[0], "/metrics")
	if !strings.Contains(metrics, "apogee_divergent_logs 1\n") {
		t.Error("no metric says that something is aside")
	}
}

func TestABrokerByItselfTakesSlavesWhileItRuns(t *testing.T) {
	t.Parallel()
	c := newPair(t, AsyncMaster)
	c.up(0)
	if c.nodes[0].shards[0].group != nil {
		t.Fatal("a broker by itself runs as a group")
	}
	c.status(0, "alone")
	started := make(chan struct{})
	go func() {
		defer close(started)
		c.up(1)
	}()
	c.upAgain(0)
	<-started
	c.until("the slave to join", func() bool { return len(c.nodes[0].shards[0].group.Members()) == 2 })
	if code := c.status(0, "with a slave"); code != remoting.ResponseSuccess {
		t.Errorf("with a slave: %d", code)
	}
	down(t, c.nodes[1])
	if code := c.status(0, "without"); code != remoting.ResponseSuccess {
		t.Errorf("an ASYNC_MASTER whose slave is down answers %d", code)
	}
	c.up(1)
	c.until("the slave to have everything", func() bool {
		a, b := c.nodes[0].shards[0].replica.Engine().Marks(), c.nodes[1].shards[0].replica.Engine().Marks()
		return a.Applied == b.Applied
	})
}

func TestAMasterWhoseSlaveDoesNotAnswerIsToldToLead(t *testing.T) {
	t.Parallel()
	c := newPair(t, SyncMaster)
	c.up(0, 1)
	c.inSync(0, 1)
	down(t, c.nodes[0])
	down(t, c.nodes[1])
	c.nodes[0], c.nodes[1] = nil, nil
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := Start(ctx, c.configs[0], Options{Log: slog.New(slog.DiscardHandler)}); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("the master starts although its slave doesn't answer: %v", err)
	}
	forced := c.configs[0]
	forced.Replication.ForceMaster = true
	n, _ := up(t, forced)
	c.nodes[0] = n
	if code := c.status(0, "alone"); code != remoting.ResponseSlaveNotAvailable {
		t.Errorf("it answers %d", code)
	}
}

func anyPort(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestTheGateTellsAWaitingMasterToLead(t *testing.T) {
	t.Parallel()
	g, forced := &gate{}, make(chan struct{}, 1)
	g.starting.Store(&promoter{forced: forced})
	server := remoting.Serve(anyPort(t), g, remoting.Options{})
	defer func() { _ = server.Shutdown(context.Background()) }()
	address := server.Addr().(*net.TCPAddr).AddrPort()
	if r := call(t, address, remoting.RequestPromoteReplica, ""); r.Code == remoting.ResponseSuccess || len(forced) != 0 {
		t.Errorf("without force: %d %s", r.Code, r.Remark)
	}
	if r := call(t, address, remoting.RequestPromoteReplica, "", "force", "true"); r.Code != remoting.ResponseSuccess || len(forced) != 1 {
		t.Errorf("with force: %d %s", r.Code, r.Remark)
	}
	if r := call(t, address, remoting.RequestGetMaxOffset, ""); r.Code != remoting.ResponseServiceNotAvailable {
		t.Errorf("anything else: %d", r.Code)
	}
}

func TestSettingsOfMasterAndSlaveThatDontGoTogetherAreRefused(t *testing.T) {
	t.Parallel()
	const ns = "namesrvAddr=127.0.0.1:9876"
	for want, pairs := range map[string][]string{
		"brokerRole=SLAVE with brokerId=0": {"brokerRole=SLAVE", ns},
		"a slave's brokerRole is SLAVE":    {"brokerRole=SYNC_MASTER", "brokerId=1"},
		"nowhere to find its master":       {"brokerRole=SLAVE", "brokerId=1"},
		"set clusterSecret or clusterTls":  {"brokerRole=SYNC_MASTER", "bindAddress=0.0.0.0", "allowAnonymous=true"},
		"settle their roles by themselves": {"brokerRole=SYNC_MASTER", "enableDLegerCommitLog=true", "dLegerPeers=n0-127.0.0.1:1", "dLegerSelfId=n0"},
		"one folder":                       {"brokerRole=SYNC_MASTER", "storePathRootDir=/a,/b"},
		"is not host:port":                 {"brokerRole=SLAVE", "brokerId=1", "haMasterAddress=x"},
	} {
		if _, err := Load("", pairs); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", pairs, err, want)
		}
	}
}

func TestRocketMQsPairsOfFilesAreTakenAsTheyAre(t *testing.T) {
	t.Parallel()
	for name, kind := range map[string]BrokerKind{"2m-2s-sync-broker-a.properties": SyncMaster, "2m-2s-async-broker-a-s.properties": Slave, "broker.conf": AsyncMaster} {
		c, err := LoadRole(BrokerRole, stockFile(name), []string{someNameserver})
		if err != nil || len(c.Unknown()) > 0 || c.Replication.Kind != kind || c.haPort() != 10912 {
			t.Errorf("%s: %v, unknown %q, %s with slaves at port %d", name, err, c.Unknown(), c.Replication.Kind, c.haPort())
		}
	}
	c, err := Load("", nil)
	if err != nil || slices.ContainsFunc(c.ports(), func(p namedPort) bool { return p.key == "haListenPort" }) {
		t.Errorf("a broker by itself needs its port for slaves: %v", err)
	}
}
