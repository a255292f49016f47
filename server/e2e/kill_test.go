package e2e

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"testing"
)

var killSeed = flag.Uint64("kill.seed", 0, "seed of the moments at which servers are ended; 0 takes a new one")

// killPlan is the random choice of when to end servers.
func killPlan(t *testing.T) *rand.Rand {
	t.Helper()
	seed := *killSeed
	if seed == 0 {
		seed = rand.Uint64()
	}
	t.Logf("the plan of this run: go test ./server/e2e -run '%s' -kill.seed=%d", t.Name(), seed)
	return rand.New(rand.NewPCG(seed, 1))
}

// crashSettings make log files small, so that some rounds cross from one to
// the next.
func crashSettings(flush string) []string {
	return []string{"flushDiskType=" + flush, "maxMessageSize=65536", "mappedFileSizeCommitLog=4194304"}
}

func TestWhatWasConfirmedSurvivesKills(t *testing.T) {
	t.Parallel()
	for _, flush := range []string{"SYNC_FLUSH", "ASYNC_FLUSH"} {
		t.Run(flush, func(t *testing.T) {
			t.Parallel()
			plan := killPlan(t)
			s := startServer(t, crashSettings(flush)...)
			l := newLoad(t, s)
			for range 6 {
				killUnderLoad(t, s, l, plan)
			}
			t.Logf("%d messages were confirmed", l.confirmed())
		})
	}
}

// killUnderLoad is one round. Every other time, by chance, the server is
// killed again while it recovers.
func killUnderLoad(t *testing.T, s *server, l *load, plan *rand.Rand) {
	t.Helper()
	const answersMax = 4000
	await(t, "answers to the load", l.begin(s, 1+plan.Int64N(answersMax)))
	s.kill()
	l.end()
	if plan.IntN(2) == 0 {
		s.launch()
		if err := s.process.journal.wait("msg=disk"); err != nil {
			t.Fatalf("start the server again: %v\n%s", err, s.process.journal)
		}
		s.kill()
	}
	s.restart()
	l.verify(s)
}

func TestOfficialClientsLoseNothingToKills(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	for _, flush := range []string{"SYNC_FLUSH", "ASYNC_FLUSH"} {
		t.Run(flush, func(t *testing.T) {
			t.Parallel()
			plan := killPlan(t)
			s := startServer(t, crashSettings(flush)...)
			l := beginOfficialLoad(t, s)
			defer l.end()
			var consumers []*inbox
			for range 3 {
				consumers = append(consumers, newOfficialConsumer(t, s))
				killUnderOfficialClients(t, s, l, 1+plan.IntN(600))
			}
			consumers = append(consumers, newOfficialConsumer(t, s))
			l.end()
			l.history.judge(t, dial(t, s.brokerAddress()), officialTopic, loadQueues)
			eventually(t, "the consumers get what was confirmed", func() error {
				var arrived []string
				for _, in := range consumers {
					arrived = append(arrived, in.arrived()...)
				}
				if n := l.missing(arrived); n > 0 {
					return fmt.Errorf("%d of %d messages have not arrived", n, l.confirmed())
				}
				return nil
			})
			t.Logf("%d messages were confirmed", l.confirmed())
		})
	}
}

const officialGroup = "e2e-official-group"

// newOfficialConsumer joins the group. A consumer that was there before the
// server was killed is of no use for half a minute: the client doesn't notice
// that the connection of a pull is gone, and waits 30 s for it.
func newOfficialConsumer(t *testing.T, s *server) *inbox {
	t.Helper()
	return newInboxOf(t, s, officialGroup, officialTopic, everything)
}

// killUnderOfficialClients kills the server after so many more confirmed
// messages. Offsets that the consumer had committed before a commit that was
// answered must be there afterwards: offsets are stored in the order in which
// they came, those of one interval together.
func killUnderOfficialClients(t *testing.T, s *server, l *officialLoad, more int) {
	t.Helper()
	want := l.confirmed() + more
	eventually(t, "the official producer's messages are confirmed", func() error {
		if n := l.confirmed(); n < want {
			return fmt.Errorf("%d of %d", n, want)
		}
		return nil
	})
	p := dial(t, s.brokerAddress())
	var before [loadQueues]int64
	for queue := range before {
		before[queue] = p.committed(officialGroup, officialTopic, queue)
	}
	p.commitOffset("e2e-fence", officialTopic, 0, int64(want))
	s.kill()
	s.restart()
	p = dial(t, s.brokerAddress())
	for queue, offset := range before {
		if after := p.committed(officialGroup, officialTopic, queue); after < offset {
			t.Errorf("queue %d: the kill sent the consumer back from %d to %d", queue, offset, after)
		}
	}
}
