package clustertest

import (
	"flag"
	"fmt"
	"testing"

	"github.com/hashicorp/raft"
)

var (
	clusterSeed  = flag.Uint64("cluster.seed", 0, "run this seed alone")
	clusterSeeds = flag.Uint64("cluster.seeds", 10/seedShare, "how many seeds the power cuts run")
)

// forSeeds runs a test for each seed that the flags ask for, count by default.
func forSeeds(t *testing.T, count uint64, test func(t *testing.T, seed uint64, replay string)) {
	t.Parallel()
	replay := fmt.Sprintf("go test ./replication/clustertest -run '%s$'", t.Name())
	from, to := uint64(1), count
	if *clusterSeed != 0 {
		from, to = *clusterSeed, *clusterSeed
	}
	for seed := from; seed <= to; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			test(t, seed, replay)
		})
	}
}

func TestThreeNodesKeepTheSameLog(t *testing.T) {
	forSeeds(t, 1, func(t *testing.T, seed uint64, replay string) {
		c := trio(t, seed, replay)
		c.mustPropose(200, 600)
		c.check()
		c.stop(c.nodes...)
		c.start(c.nodes...)
		c.mustPropose(50, 600)
		c.check()
	})
}

// others are the nodes but one.
func (c *Cluster) others(but *Node) []*Node {
	var all []*Node
	for _, n := range c.nodes {
		if n != but {
			all = append(all, n)
		}
	}
	return all
}

// strand takes the leader off the network with commands in its log that nobody
// else has, and returns it. bytes is the size of each.
func (c *Cluster) strand(count, bytes int) *Node {
	c.t.Helper()
	for {
		leader := c.mustLead(c.nodes...)
		c.settle()
		end, _, _ := leader.life.log.End()
		c.mu.Lock()
		c.isolate(leader)
		c.mu.Unlock()
		for range count {
			leader.life.raft.Apply(c.command(c.numbers.Add(1), bytes), heartbeatTimeout)
		}
		c.until("the leader to store or step down", func() bool {
			now, _, _ := leader.life.log.End()
			return int(now-end) >= count || leader.life.raft.State() != raft.Leader
		})
		if now, _, _ := leader.life.log.End(); int(now-end) >= count {
			return leader
		}
		c.connect(leader)
	}
}

func TestAFollowerTruncatesWhatIsInConflictWithTheLeader(t *testing.T) {
	forSeeds(t, 1, func(t *testing.T, seed uint64, replay string) {
		c := trio(t, seed, replay)
		c.mustPropose(10, 100)
		old := c.strand(5, 100)
		c.mustLead(c.others(old)...)
		c.mustPropose(3, 100)
		c.connect(old)
		c.check()
		if n := old.life.mortal.truncations.Load(); n == 0 {
			t.Error("nothing was truncated")
		}
	})
}

func TestAFollowerTruncatesAcrossSegments(t *testing.T) {
	forSeeds(t, 1, func(t *testing.T, seed uint64, replay string) {
		c := trio(t, seed, replay)
		c.mustPropose(10, 1000)
		old := c.strand(20, 12<<10)
		c.mustLead(c.others(old)...)
		c.mustPropose(30, 2000)
		c.connect(old)
		c.check()
		if n := old.life.mortal.crossings.Load(); n == 0 {
			t.Error("no segment was truncated as a whole")
		}
		c.cut(c.nodes...)
		c.start(c.nodes...)
		c.check()
	})
}

// TestAFollowerThatLosesPowerWhileItTruncates cuts the power in a step of the
// truncation.
func TestAFollowerThatLosesPowerWhileItTruncatesAgreesAfterwards(t *testing.T) {
	forSeeds(t, *clusterSeeds/2+1, func(t *testing.T, seed uint64, replay string) {
		c := trio(t, seed, replay)
		c.mustPropose(10, 1000)
		old := c.strand(12, 12<<10)
		c.mustLead(c.others(old)...)
		c.mustPropose(20, 2000)
		old.disk.CrashAfter(1 + c.rng.Uint64N(30))
		c.connect(old)
		c.mustPropose(1, 100)
		c.until("the power cut", func() bool {
			c.propose(100)
			return old.disk.Crashed()
		})
		c.cut(old)
		c.start(old)
		c.check()
	})
}

func TestWhatIsCommittedSurvivesPowerCutsOfOneTwoAndAllNodes(t *testing.T) {
	forSeeds(t, *clusterSeeds, func(t *testing.T, seed uint64, replay string) {
		c := trio(t, seed, replay)
		for round := range 4 {
			stop := c.load(6)
			victims := c.victims(1 + (round+int(seed))%3)
			for _, n := range victims {
				n.disk.CrashAfter(1 + c.rng.Uint64N(250))
			}
			c.awaitCuts(victims)
			c.cut(victims...)
			if round%2 == 0 {
				c.trim(1, c.up()...)
			}
			for _, n := range victims {
				if c.rng.IntN(3) == 0 {
					n.disk.CrashAfter(1 + c.rng.Uint64N(60)) // in recovery
				}
			}
			c.start(victims...)
			for _, n := range victims {
				n.disk.CrashAfter(0)
			}
			c.revive()
			stop()
			c.check()
		}
	})
}

// up are the nodes that are up.
func (c *Cluster) up() []*Node {
	var all []*Node
	for _, n := range c.nodes {
		if n.life != nil && !n.disk.Crashed() {
			all = append(all, n)
		}
	}
	return all
}

// awaitCuts waits until the power of the victims is gone; two will do, since a
// third has nothing to write without them.
func (c *Cluster) awaitCuts(victims []*Node) {
	c.t.Helper()
	c.until("the power cuts", func() bool {
		crashed := 0
		for _, n := range victims {
			if n.disk.Crashed() {
				n.life.die()
				crashed++
			}
		}
		return crashed >= min(len(victims), 2)
	})
}

// victims draws nodes.
func (c *Cluster) victims(count int) []*Node {
	all := append([]*Node(nil), c.nodes...)
	c.rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:count]
}

// revive starts again what lost power a second time.
func (c *Cluster) revive() {
	c.t.Helper()
	for _, n := range c.nodes {
		if n.disk.Crashed() {
			c.cut(n)
			c.start(n)
		}
	}
}
