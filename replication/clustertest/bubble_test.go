package clustertest

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
)

var (
	clusterSeed  = flag.Uint64("cluster.seed", 0, "run this seed alone")
	clusterSeeds = flag.Uint64("cluster.seeds", (2+seedShare)/seedShare, "how many seeds the scenarios by chance run")
)

// simulate runs a scenario for count seeds, or for the one that the flags ask
// for, each in a bubble with a time of its own.
func simulate(t *testing.T, count uint64, scenario func(c *Cluster)) {
	t.Parallel()
	replay := fmt.Sprintf("go test ./replication/clustertest -run '^%s$'", t.Name())
	from, to := uint64(1), count
	if *clusterSeed != 0 {
		from, to = *clusterSeed, *clusterSeed
	}
	for seed := from; seed <= to; seed++ {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			defer ignoreLeftovers()
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t, seed, replay)
				defer c.end()
				defer c.watch()()
				defer c.sumUp()()
				scenario(c)
			})
		})
	}
}

// ignoreLeftovers lets a bubble end with goroutines that wait for ever: Raft
// leaves those without an answer that ask it for something when it ends.
func ignoreLeftovers() {
	cause := recover()
	if err, is := cause.(error); cause != nil && (!is || !strings.Contains(err.Error(), "main bubble goroutine has exited")) {
		panic(cause)
	}
}
