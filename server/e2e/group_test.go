package e2e

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/apogeemq/apogee/server/remoting"
)

// group is three servers that keep the same log.
type group struct {
	t       *testing.T
	servers []*server
}

func startGroup(t *testing.T, settings ...string) *group {
	t.Helper()
	g := &group{t: t}
	nameservers, peers := "", ""
	for i := range 3 {
		s := &server{t: t, dir: t.TempDir(), ports: freePorts(t)}
		t.Cleanup(s.cleanUp)
		g.servers = append(g.servers, s)
		nameservers += s.nameserverAddress() + ";"
		peers += fmt.Sprintf("n%d-%s;", i, loopback(int(freePorts(t))))
	}
	for i, s := range g.servers {
		s.settings = append([]string{
			"namesrvAddr=" + nameservers, "enableDLegerCommitLog=true", "dLegerGroup=g", "dLegerPeers=" + peers, fmt.Sprint("dLegerSelfId=n", i),
		}, settings...)
		s.launch()
	}
	for _, s := range g.servers {
		if err := s.process.journal.wait("msg=ready"); err != nil {
			t.Fatalf("start a server: %v\n%s", err, s.process.journal)
		}
	}
	return g
}

// leader waits until one among servers leads and the nameserver of one server
// names it as the master, and returns it. That it is named isn't enough: between
// two leaders another one is.
func (g *group) leader(asked *server, among ...*server) *server {
	g.t.Helper()
	var leader *server
	eventually(g.t, "the route has a leader", func() error {
		route := routeOf(g.t, asked, "TBW102")
		for _, addresses := range route {
			for _, s := range among {
				if addresses["0"] == s.brokerAddress() && s.leads() {
					leader = s
					return nil
				}
			}
		}
		return fmt.Errorf("the route is %v", route)
	})
	return leader
}

// leads reports whether a server says that it leads its group.
func (s *server) leads() bool {
	s.t.Helper()
	var v struct{ Leads bool }
	reply := dial(s.t, s.brokerAddress()).ask(remoting.RequestGetReplicas)
	return reply.Code == remoting.ResponseSuccess && json.Unmarshal(reply.Body, &v) == nil && v.Leads
}

// routeOf is what the nameserver of a server tells clients of a topic: the
// addresses of the brokers by name and id. It is nil when there is no route.
func routeOf(t *testing.T, s *server, topic string) map[string]map[string]string {
	t.Helper()
	reply := dial(t, s.nameserverAddress()).ask(remoting.RequestGetRouteInfoByTopic, "topic", topic, "acceptStandardJsonOnly", "true")
	var route struct {
		Brokers []struct {
			Name      string            `json:"brokerName"`
			Addresses map[string]string `json:"brokerAddrs"`
		} `json:"brokerDatas"`
	}
	if reply.Code != remoting.ResponseSuccess || json.Unmarshal(reply.Body, &route) != nil {
		return nil
	}
	brokers := make(map[string]map[string]string)
	for _, b := range route.Brokers {
		brokers[b.Name] = b.Addresses
	}
	return brokers
}

func (g *group) others(but *server) []*server {
	var all []*server
	for _, s := range g.servers {
		if s != but {
			all = append(all, s)
		}
	}
	return all
}

// TestAGroupLosesNothingThatWasConfirmedWhenItsLeaderIsKilled kills the leader
// again and again under the load of official producers. Each round has a
// producer of its own: this client looks for a new master of the same name only
// every 30 s.
func TestAGroupLosesNothingThatWasConfirmedWhenItsLeaderIsKilled(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	for _, flush := range []string{"SYNC_FLUSH", "ASYNC_FLUSH"} {
		t.Run(flush, func(t *testing.T) {
			t.Parallel()
			plan := killPlan(t)
			g := startGroup(t, crashSettings(flush)...)
			h, round := newHistory(), uint32(0)
			leader := g.leader(g.servers[0], g.servers...)
			for range 3 {
				survivors := g.others(leader)
				g.leader(survivors[0], leader) // its nameserver may have come back just now
				l := continueOfficialLoad(t, survivors[0], h, round*officialWriters)
				round++
				grow(t, "confirmed messages", 1+plan.IntN(400), l.confirmed)
				leader.kill()
				l.end()
				next := g.leader(survivors[0], survivors...)
				leader.restart()
				leader = next
			}
			g.judge(leader, h)
		})
	}
}

// judge waits until all servers have what the leader has, reads it from each
// and judges it.
func (g *group) judge(leader *server, h *history) {
	g.t.Helper()
	ends := func(s *server) (ends [loadQueues]int64) {
		p := dial(g.t, s.brokerAddress())
		for queue := range ends {
			ends[queue] = p.number(remoting.RequestGetMaxOffset, "topic", officialTopic, "queueId", fmt.Sprint(queue))
		}
		return ends
	}
	// The first pull creates the reader's group, which only a leader can do.
	for _, s := range append([]*server{leader}, g.others(leader)...) {
		eventually(g.t, "the servers are even", func() error {
			if got, want := ends(s), ends(leader); got != want {
				return fmt.Errorf("%v, the leader has %v", got, want)
			}
			if reply := dial(g.t, s.brokerAddress()).ask(remoting.RequestGetGroupConfig, "group", "e2e-reader"); s != leader && reply.Code != remoting.ResponseSuccess {
				return fmt.Errorf("the reader's group: code %d, %s", reply.Code, reply.Remark)
			}
			return nil
		})
		h.judge(g.t, dial(g.t, s.brokerAddress()), officialTopic, loadQueues)
	}
}
