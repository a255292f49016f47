package e2e

import (
	"strings"
	"testing"
	"time"
)

func TestATermSignalUnderLoadEndsInOrderAndTheNextStartIsClean(t *testing.T) {
	t.Parallel()
	for _, flush := range []string{"SYNC_FLUSH", "ASYNC_FLUSH"} {
		t.Run(flush, func(t *testing.T) {
			t.Parallel()
			plan := killPlan(t)
			s := startServer(t, crashSettings(flush)...)
			l := newLoad(t, s)
			for range 3 {
				await(t, "answers to the load", l.begin(s, 1+plan.Int64N(2000)))
				took, err := s.terminate()
				if err != nil || took > 5*time.Second {
					t.Fatalf("after SIGTERM under load: %v, after %v\n%s", err, took, s.process.journal)
				}
				if log := s.process.journal.String(); !strings.Contains(log, "inOrder=true") {
					t.Errorf("the stop was not in order:\n%s", log)
				}
				l.end()
				s.restart()
				if log := s.process.journal.String(); !strings.Contains(log, "tornBytes=0") || strings.Contains(log, "level=WARN") {
					t.Errorf("the start after an orderly stop is not clean:\n%s", log)
				}
				if stored, confirmed := l.verify(s), l.confirmed(); stored != confirmed {
					t.Errorf("%d messages are stored, %d of them were confirmed: the stop left sends unanswered", stored, confirmed)
				}
			}
		})
	}
}
