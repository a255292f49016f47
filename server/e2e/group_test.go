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

// leader waits until the nameserver of one server names one among servers as
// the master, and returns it.
func (g *group) leader(asked *server, among ...*server) *server {
	g.t.Helper()
	var leader *server
	p := dial(g.t, asked.nameserverAddress())
	eventually(g.t, "the route has a leader", func() error {
		reply := p.ask(remoting.RequestGetRouteInfoByTopic, "topic", "TBW102", "acceptStandardJsonOnly", "true")
		var route struct {
			Brokers []struct {
				Addresses map[string]string `json:"brokerAddrs"`
			} `json:"brokerDatas"`
		}
		if reply.Code != remoting.ResponseSuccess {
			return fmt.Errorf("code %d, %s", reply.Code, reply.Remark)
		}
		if err := json.Unmarshal(reply.Body, &route); err != nil {
			return err
		}
		for _, s := range among {
			if len(route.Brokers) > 0 && route.Brokers[0].Addresses["0"] == s.brokerAddress() {
				leader = s
				return nil
			}
		}
		return fmt.Errorf("the route is %s", reply.Body)
	})
	return leader
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
				want := 1 + plan.IntN(400)
				eventually(t, "messages are confirmed", func() error {
					if n := l.confirmed(); n < want {
						return fmt.Errorf("%d of %d", n, want)
					}
					return nil
				})
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
