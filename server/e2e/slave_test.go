package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"

	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
)

// lateMillis is what a slave, and a disk, may take in these tests before the
// answer says so.
const lateMillis = "700"

// startPair starts a master and its slave, set up as RocketMQ's users do, whose
// disks can be broken, and waits until the slave has what is confirmed.
func startPair(t *testing.T) (master, slave *server, both *group) {
	t.Helper()
	g := &group{t: t}
	nameservers := ""
	for range 2 {
		s := &server{t: t, dir: t.TempDir(), ports: freeRun(t, 2), variables: []string{"APOGEE_FAULTS=on"}}
		t.Cleanup(s.cleanUp)
		g.servers = append(g.servers, s)
		nameservers += s.nameserverAddress() + ";"
	}
	for i, s := range g.servers {
		role := []string{"SYNC_MASTER", "SLAVE"}[i]
		s.settings = []string{"namesrvAddr=" + nameservers, "brokerName=broker-a", fmt.Sprint("brokerId=", i), "brokerRole=" + role,
			fmt.Sprint("haListenPort=", int(s.ports)+portsEach), "slaveTimeout=" + lateMillis, "syncFlushTimeout=" + lateMillis}
		s.launch()
	}
	for _, s := range g.servers {
		if err := s.process.journal.wait("msg=ready"); err != nil {
			t.Fatalf("start a server: %v\n%s", err, s.process.journal)
		}
	}
	master, slave = g.servers[0], g.servers[1]
	master.awaitSlaves(1)
	return master, slave, g
}

// awaitSlaves waits until the server is a master with so many slaves in sync.
func (s *server) awaitSlaves(want int) {
	s.t.Helper()
	eventually(s.t, fmt.Sprint("a master has ", want, " slaves in sync"), func() error {
		var v struct {
			Leads        bool
			SlavesInSync int
		}
		reply := dial(s.t, s.brokerAddress()).ask(remoting.RequestGetReplicas)
		if err := json.Unmarshal(reply.Body, &v); err != nil || !v.Leads || v.SlavesInSync != want {
			return fmt.Errorf("code %d, %s %s", reply.Code, reply.Remark, reply.Body)
		}
		return nil
	})
}

// breakDisk gives the disk rules of package faultdisk, none to heal it.
func (s *server) breakDisk(rules string) {
	s.t.Helper()
	url := fmt.Sprintf("http://%s/debug/faults/disk", loopback(s.ports.admin()))
	request, err := http.NewRequestWithContext(s.t.Context(), http.MethodPut, url, strings.NewReader(rules))
	if err != nil {
		s.t.Fatal(err)
	}
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer reply.Body.Close()
	if reply.StatusCode != http.StatusOK {
		s.t.Fatalf("break the disk: %s", reply.Status)
	}
}

// placed sends messages one by one and checks that each answer names a place of
// its own, whatever its status.
type placed struct {
	t        *testing.T
	producer rocketmq.Producer
	next     map[int]int64 // offset, by queue
	ids      map[string]bool
}

func (p *placed) send(body string) primitive.SendStatus {
	p.t.Helper()
	r, err := p.producer.SendSync(p.t.Context(), primitive.NewMessage("e2e-placed", []byte(body)))
	if err != nil {
		p.t.Fatalf("send %q: %v", body, err)
	}
	queue := r.MessageQueue.QueueId
	if r.MsgID == "" || r.OffsetMsgID == "" || p.ids[r.MsgID] || p.ids[r.OffsetMsgID] || r.QueueOffset != p.next[queue] {
		p.t.Errorf("%q: the answer is %v, want ids of its own and offset %d", body, r, p.next[queue])
	}
	p.ids[r.MsgID], p.ids[r.OffsetMsgID], p.next[queue] = true, true, r.QueueOffset+1
	return r.Status
}

// become sends until the answer has a status, and fails at one that is neither
// that nor among those on the way.
func (p *placed) become(want primitive.SendStatus, onTheWay ...primitive.SendStatus) {
	p.t.Helper()
	eventually(p.t, fmt.Sprint("sends end with status ", want), func() error {
		got := p.send("on the way")
		if got != want && !slices.Contains(onTheWay, got) {
			p.t.Fatalf("status %d, want %d", got, want)
		}
		if got != want {
			return fmt.Errorf("status %d", got)
		}
		return nil
	})
}

func TestTheGoClientSeesWhatASyncMasterAndItsSlaveHaveOfAMessage(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	master, slave, _ := startPair(t)
	p := &placed{t: t, producer: newProducer(t, master), next: map[int]int64{}, ids: map[string]bool{}}
	if got := p.send("both have it"); got != primitive.SendOK {
		t.Errorf("with a slave: status %d", got)
	}
	slave.pause()
	if got := p.send("the slave is late"); got != primitive.SendFlushSlaveTimeout {
		t.Errorf("a slave that is stopped: status %d", got)
	}
	slave.signal(syscall.SIGCONT)
	master.awaitSlaves(1)
	p.become(primitive.SendOK, primitive.SendFlushSlaveTimeout)
	master.breakDisk("sync:*.seg:*=hang")
	if got := p.send("the master's disk is late"); got != primitive.SendFlushDiskTimeout {
		t.Errorf("a disk that hangs: status %d", got)
	}
	master.breakDisk("")
	p.become(primitive.SendOK, primitive.SendFlushDiskTimeout, primitive.SendFlushSlaveTimeout, primitive.SendSlaveNotAvailable)
	slave.kill()
	p.become(primitive.SendSlaveNotAvailable, primitive.SendFlushSlaveTimeout)
	slave.restart()
	master.awaitSlaves(1)
	p.become(primitive.SendOK)
}

// TestNothingConfirmedIsLostWhenSlavesArePromoted has the two change places
// under load, kills the new master when it has what its slave hasn't got, and
// lets it come back.
func TestNothingConfirmedIsLostWhenSlavesArePromoted(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	a, b, both := startPair(t)
	h := newHistory()
	l := continueOfficialLoad(t, a, h, 0)
	in := newInbox(t, a, "e2e-heirs", officialTopic, "*")
	l.awaitMore(t, 100)
	a.admin("promote", b.brokerAddress())
	if both.leader(a, b); !strings.Contains(a.admin("cluster"), "master") {
		t.Error("the cluster shows no master")
	}
	b.awaitSlaves(1)
	l.awaitMore(t, 100) // by the old master, which passes them on
	l.end()
	in.expectAll(l)
	offsets := b.awaitOffsets("e2e-heirs", int64(l.confirmed()/2))
	in.close()

	a.pause()
	alone := []string{}
	p := newProducer(t, b)
	for len(alone) < 20 {
		body := fmt.Sprintf("only one has it %03d", len(alone))
		switch r, err := p.SendSync(t.Context(), primitive.NewMessage("e2e-alone", []byte(body))); {
		case err != nil:
			t.Fatal(err)
		case r.Status == primitive.SendOK:
			t.Fatalf("%q is confirmed and has no copy", body)
		case r.Status == primitive.SendSlaveNotAvailable:
			alone = append(alone, body)
		}
	}
	b.kill()
	a.signal(syscall.SIGCONT)
	a.awaitAlone()
	servesPulls(t, a)
	a.admin("promote", a.brokerAddress())
	both.leader(a, a)
	for queue, got := range a.offsetsOf("e2e-heirs") {
		if got < offsets[queue] {
			t.Errorf("the group is at %d in queue %d, and was at %d when both had it", got, queue, offsets[queue])
		}
	}

	again := newInbox(t, a, "e2e-heirs", officialTopic, "*")
	b.restart()
	a.awaitSlaves(1)
	l2 := continueOfficialLoad(t, a, h, officialWriters)
	l2.awaitMore(t, 100)
	l2.end()
	again.expectAll(l2)
	if n := l.missing(again.arrived()); n < l.confirmed()/2 {
		t.Errorf("a consumer that went on got %d messages again", l.confirmed()-n)
	}
	both.judge(a, h)
	wantDumped(t, b, alone)
}

// offsetsOf is where a group is in the queues of the official load.
func (s *server) offsetsOf(group string) (offsets [loadQueues]int64) {
	s.t.Helper()
	p := dial(s.t, s.brokerAddress())
	for queue := range offsets {
		offsets[queue] = p.committed(group, officialTopic, queue)
	}
	return offsets
}

// awaitOffsets waits until the master knows how far a consumer has got, at least
// so many messages in all, and until a slave has that, too. The client says it
// with its pulls and every 5 s, and doesn't wait for an answer.
func (s *server) awaitOffsets(group string, want int64) [loadQueues]int64 {
	s.t.Helper()
	eventually(s.t, "the consumer's offsets reach the broker", func() error {
		sum := int64(0)
		for _, offset := range s.offsetsOf(group) {
			sum += offset
		}
		if sum < want {
			return fmt.Errorf("they sum up to %d, want %d", sum, want)
		}
		return nil
	})
	offsets := s.offsetsOf(group)
	dial(s.t, s.brokerAddress()).commitOffset("e2e-fence", officialTopic, 0, 1)
	return offsets
}

// awaitMore waits until so many more messages are confirmed.
func (l *officialLoad) awaitMore(t *testing.T, more int) {
	t.Helper()
	grow(t, "confirmed messages", l.confirmed()+more, l.confirmed)
}

// expectAll waits until everything has arrived that a load had confirmed.
func (in *inbox) expectAll(l *officialLoad) {
	in.t.Helper()
	eventually(in.t, "confirmed messages arrive", func() error {
		if n := l.missing(in.arrived()); n > 0 {
			return fmt.Errorf("%d are missing", n)
		}
		return nil
	})
}

// awaitAlone waits until the server knows no master.
func (s *server) awaitAlone() {
	s.t.Helper()
	eventually(s.t, "a slave sees that its master is gone", func() error {
		var v struct{ Leader string }
		reply := dial(s.t, s.brokerAddress()).ask(remoting.RequestGetReplicas)
		if err := json.Unmarshal(reply.Body, &v); err != nil || v.Leader != "" {
			return fmt.Errorf("%s: %w", reply.Body, err)
		}
		return nil
	})
}

// servesPulls reads a queue of the load from a slave without a master.
func servesPulls(t *testing.T, slave *server) {
	t.Helper()
	reply := dial(t, slave.brokerAddress()).ask(remoting.RequestPullMessage, "consumerGroup", "e2e-heirs", "topic", officialTopic, "queueId", "0",
		"queueOffset", "0", "maxMsgNums", "32", "sysFlag", "4", "commitOffset", "0", "suspendTimeoutMillis", "0",
		"subscription", "*", "subVersion", "1", "expressionType", "TAG")
	if r, _, err := record.Decode(reply.Body); reply.Code != remoting.ResponseSuccess || err != nil || r.QueueOffset != 0 {
		t.Errorf("a pull from the slave: code %d, %s, %v", reply.Code, reply.Remark, err)
	}
}

// wantDumped checks that what a server had alone is aside, and can be read.
func wantDumped(t *testing.T, s *server, bodies []string) {
	t.Helper()
	folders, err := filepath.Glob(filepath.Join(s.dir, "divergent", "*"))
	if err != nil || len(folders) != 1 {
		t.Fatalf("%d parts of the log are aside, want 1: %v", len(folders), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	command := exec.CommandContext(ctx, apogee, "log", "dump", folders[0])
	command.Stderr = os.Stderr
	out, err := command.Output()
	for _, body := range bodies {
		if err != nil || !strings.Contains(string(out), body) {
			t.Fatalf("apogee log dump: %q is not there, %v:\n%.4000s", body, err, out)
		}
	}
	shown, err := exec.CommandContext(ctx, apogee, "admin", "cluster", "--broker", s.brokerAddress()).CombinedOutput()
	if err != nil || !strings.Contains(string(shown), "put aside") {
		t.Errorf("the cluster doesn't show that something is aside, %v:\n%s", err, shown)
	}
}
