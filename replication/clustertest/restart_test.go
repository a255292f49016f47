package clustertest

import (
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestAReplicaThatStartsAgainReadsNothingThatItsProjectionsHave: neither to apply
// it, nor for Raft. What it reads of the log is counted, so nobody else looks
// into that meanwhile. Of each of the small segments it reads the beginning, and
// wherever it looks for a frame up to a segment, which the log is long enough for:
// a quarter of it is more than that.
func TestAReplicaThatStartsAgainReadsNothingThatItsProjectionsHave(t *testing.T) {
	t.Parallel()
	defer ignoreLeftovers()
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t, 1, "go test ./replication/clustertest -run '^"+t.Name()+"$'")
		defer c.end()
		for range 3 {
			c.add().waiting = vfs.NewMem()
		}
		c.start(c.nodes...)
		c.leader()
		c.mustSend(2000, 4000)
		c.settle()
		for _, n := range []*Node{c.others(c.leader())[0], c.leader()} {
			n.stop()
			c.start(n)
			c.settle()
			l := n.living()
			_, _, end := l.group.Engine().Log().End()
			read := l.disk.read.Load()
			if read > int64(end)/4 {
				c.fatalf("%s has read %d bytes of a log of %d to start", n.peer.Name, read, end)
			}
			t.Logf("%s: a log of %d bytes, %d read", n.peer.Name, end, read)
		}
	})
}
