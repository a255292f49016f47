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

func TestWhatTheOfficialProducerGotConfirmedSurvivesKills(t *testing.T) {
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
			for range 3 {
				want := l.confirmed() + 1 + plan.IntN(600)
				eventually(t, "the official producer's messages are confirmed", func() error {
					if n := l.confirmed(); n < want {
						return fmt.Errorf("%d of %d", n, want)
					}
					return nil
				})
				s.kill()
				s.restart()
			}
			l.end()
			read, err := readBack(dial(t, s.brokerAddress()), officialTopic, loadQueues)
			if err == nil {
				err = judge(read, l.writers)
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d messages were confirmed", l.confirmed())
		})
	}
}
