package clustertest

import "testing"

// trimmedTrio is a group whose nodes have all trimmed their logs.
func trimmedTrio(t *testing.T, seed uint64, replay string) *Cluster {
	c := trio(t, seed, replay)
	c.mustPropose(100, 3000)
	c.check()
	c.trim(1, c.nodes...)
	for _, n := range c.nodes {
		if first, _ := n.life.log.First(); first < 10 {
			c.fatalf("%s begins with frame %d after a trim", n.id, first)
		}
	}
	return c
}

func TestANewReplicaOfATrimmedLogGetsOneSnapshotAndEveryRetainedFrame(t *testing.T) {
	forSeeds(t, 1, func(t *testing.T, seed uint64, replay string) {
		c := trimmedTrio(t, seed, replay)
		leader := c.mustLead(c.nodes...)
		d := c.add("d")
		c.start(d)
		c.addVoter(d)
		c.check()
		want, _ := leader.life.log.First()
		if got, _ := d.life.log.First(); got != want {
			t.Errorf("the new replica begins with frame %d, the leader with %d", got, want)
		}
		c.mustPropose(50, 3000)
		c.check()
		if n := c.installs.Load(); n != 1 {
			t.Errorf("%d snapshots were sent, one would do", n)
		}
		c.trim(0, d)
		c.stop(d)
		c.start(d)
		c.mustPropose(5, 100)
		c.check()
		if n := c.installs.Load(); n != 1 || d.life.fold.restores() != 0 {
			t.Errorf("%d snapshots were sent after a restart", n-1)
		}
	})
}

func TestAReplicaThatIsFarBehindGetsASnapshot(t *testing.T) {
	forSeeds(t, 1, func(t *testing.T, seed uint64, replay string) {
		c := trio(t, seed, replay)
		c.mustPropose(10, 3000)
		c.check()
		behind := c.others(c.mustLead(c.nodes...))[0]
		c.cut(behind)
		c.mustPropose(100, 3000)
		c.trim(1, c.others(behind)...)
		c.start(behind)
		c.check()
		if n := c.installs.Load(); n != 1 || behind.life.fold.restores() != 1 {
			t.Errorf("%d snapshots were sent, %d restored", n, behind.life.fold.restores())
		}
		c.stop(behind)
		c.start(behind)
		c.mustPropose(5, 100)
		c.check()
	})
}

// TestAReplicaWhoseConflictReachesPastTheSnapshotAgreesAfterOne: Raft goes on
// counting on entries that the snapshot has replaced.
func TestAReplicaWhoseConflictReachesPastTheSnapshotAgreesAfterOne(t *testing.T) {
	forSeeds(t, 1, func(t *testing.T, seed uint64, replay string) {
		c := trio(t, seed, replay)
		c.mustPropose(10, 1000)
		old := c.strand(31, 500)
		others := c.others(old)
		c.mustLead(others...)
		c.mustPropose(20, 12<<10)
		c.until("even followers", func() bool { return others[0].life.fold.next() == others[1].life.fold.next() })
		c.trim(1, others...)
		for _, n := range others {
			end, _, _ := old.life.log.End()
			if first, _ := n.life.log.First(); first >= end {
				c.fatalf("%s begins with frame %d, the conflict ends with %d: nothing is tested", n.id, first, end)
			}
		}
		c.connect(old)
		c.check()
		if n := c.installs.Load(); n != 1 {
			t.Errorf("%d snapshots were sent, one would do", n)
		}
	})
}

func TestAReplicaThatLosesPowerWhileItInstallsASnapshotGetsThere(t *testing.T) {
	forSeeds(t, *clusterSeeds, func(t *testing.T, seed uint64, replay string) {
		c := trimmedTrio(t, seed, replay)
		d := c.add("d")
		c.start(d)
		d.disk.CrashAfter(1 + c.rng.Uint64N(60))
		c.addVoter(d)
		c.until("the power cut", func() bool {
			c.propose(1000)
			return d.disk.Crashed()
		})
		c.cut(d)
		c.start(d)
		c.check()
		c.mustPropose(10, 3000)
		c.cut(c.nodes...)
		c.start(c.nodes...)
		c.check()
	})
}
