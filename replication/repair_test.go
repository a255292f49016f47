package replication

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
)

// place of a frame on a node's disk.
type framePlace struct {
	file   string
	offset int64
	header commitlog.Header
}

const frameHeaderBytes = 72

// places are those of all frames of a node that is down.
func (n *groupNode) places() (all []framePlace) {
	n.trio.t.Helper()
	r, err := commitlog.Inspect(commitlog.Inspection{Folder: n.disk, Frame: func(f commitlog.Frame) error {
		all = append(all, framePlace{header: f.Header, offset: f.Offset})
		return nil
	}})
	if err != nil || r.Corrupt > 0 {
		n.trio.t.Fatalf("%d places are corrupt already, %v", r.Corrupt, err)
	}
	names, err := filepath.Glob(filepath.Join(n.disk.Path(), "*.seg"))
	if err != nil {
		n.trio.t.Fatal(err)
	}
	slices.Sort(names)
	segment := -1
	for i := range all {
		if i == 0 || all[i].offset < all[i-1].offset {
			segment++
		}
		all[i].file = names[segment]
	}
	return all
}

// spoil damages bytes of a frame.
func (n *groupNode) spoil(p framePlace, from, to int64) {
	n.trio.t.Helper()
	f, err := os.OpenFile(p.file, os.O_RDWR, 0)
	if err != nil {
		n.trio.t.Fatal(err)
	}
	b := make([]byte, to-from)
	_, err = f.ReadAt(b, p.offset+from)
	for i := range b {
		b[i] ^= 0x5a
	}
	if err == nil {
		_, err = f.WriteAt(b, p.offset+from)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		n.trio.t.Fatal(err)
	}
}

// readAll reads every message of the test's queue of a node.
func (n *groupNode) readAll() error {
	e := n.group.Engine()
	q := event.Queue{Topic: 1}
	first, next := e.Bounds(q)
	for at := first; at < next; {
		after, err := e.ReadQueue(q, at, engine.ReadLimits{Count: 100, Bytes: 1 << 20, Scan: 100}, nil, func(engine.Message) error { return nil })
		if err != nil {
			return err
		}
		at = after
	}
	return nil
}

// filled is a group of three with some segments of messages.
func filled(t *testing.T) *trio {
	t.Helper()
	c := newTrio(t, 3)
	for _, n := range c.nodes {
		n.adjust = func(o *GroupOptions) { // so that a start doesn't read the whole log
			o.Engine.WaitingFS, o.Engine.WaitingDir = vfs.Default, filepath.Join(n.disk.Path(), "waiting")
		}
	}
	c.up(c.nodes...)
	for range 150 {
		c.mustSend(4, 6000)
	}
	c.check()
	return c
}

func TestADamagedFrameOfAReplicaIsFetchedFromAPeerAndNeverServed(t *testing.T) {
	t.Parallel()
	c := filled(t)
	damaged := c.others(c.leader())[0]
	damaged.down()
	all := damaged.places()
	for _, i := range []int{5, len(all) / 3, len(all) / 2} {
		damaged.spoil(all[i], frameHeaderBytes+30, frameHeaderBytes+31)
	}
	damaged.spoil(all[len(all)/4], 0, 100) // the header, too
	c.up(damaged)
	if err := damaged.readAll(); err != nil {
		t.Fatal(err)
	}
	c.check()
	s := damaged.group.Engine().Log().Stats()
	if s.Repaired != 4 || s.Unrepaired != 0 {
		t.Errorf("%d frames were repaired, %d attempts failed; want 4 and 0", s.Repaired, s.Unrepaired)
	}
	kept, err := os.ReadDir(filepath.Join(damaged.disk.Path(), "damaged"))
	if err != nil || len(kept) != 4 {
		t.Errorf("%d files with damaged bytes, %v", len(kept), err)
	}
	damaged.down()
	damaged.places() // nothing is damaged any more
}

func TestALeaderThatSendsADamagedFrameRepairsItFirst(t *testing.T) {
	t.Parallel()
	c := filled(t)
	for _, n := range c.nodes {
		n.down()
	}
	late := c.nodes[2]
	if err := os.RemoveAll(late.disk.Path()); err != nil {
		t.Fatal(err)
	}
	fresh := c.nodes[2].disk.Path()
	if err := os.MkdirAll(fresh, 0o755); err != nil {
		t.Fatal(err)
	}
	for i, n := range c.nodes[:2] {
		all := n.places()
		n.spoil(all[20+i], 0, 90)
		n.spoil(all[40+i], frameHeaderBytes+11, frameHeaderBytes+12)
	}
	c.up(c.nodes[:2]...)
	c.up(c.nodes[2])
	leader := c.leader()
	c.replace(leader, c.nodes[2])
	c.check()
	if leader.group.Engine().Log().Stats().Repaired == 0 {
		t.Error("the leader has sent its whole log and repaired nothing of it")
	}
}

// replace makes a node with an empty disk the member that its predecessor at
// the same address was.
func (c *trio) replace(leader, n *groupNode) {
	c.t.Helper()
	if _, err := leader.group.RemovePeer(n.peer.Address); err != nil {
		c.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), groupPatience)
	defer cancel()
	if _, err := leader.group.AddPeer(ctx, n.peer.Address); err != nil {
		c.t.Fatal(err)
	}
}

func TestDurableFramesThatAreDamagedKeepNoReplicaFromStarting(t *testing.T) {
	t.Parallel()
	c := filled(t)
	for _, n := range c.nodes {
		n.down()
	}
	for k, n := range c.nodes[1:] {
		all := n.places()
		last := all[len(all)-1].file
		i := slices.IndexFunc(all, func(p framePlace) bool { return p.file == last })
		n.spoil(all[i+1+k], frameHeaderBytes+30, frameHeaderBytes+40)
		n.spoil(all[i+4+k], 0, 100)
		// Everything is applied anew, so Raft reads them when it starts.
		for _, dir := range []string{"index", "waiting"} {
			if err := os.RemoveAll(filepath.Join(n.disk.Path(), dir)); err != nil {
				t.Fatal(err)
			}
		}
	}
	c.up(c.nodes[1:]...) // each gets from the other what it has itself damaged
	c.leader(c.nodes[1:]...)
	c.check(c.nodes[1:]...)
	c.up(c.nodes[0])
	c.check()
	for _, n := range c.nodes[1:] {
		if s := n.group.Engine().Log().Stats(); s.Repaired != 2 {
			t.Errorf("%s: %d frames repaired, want 2", n.peer.Name, s.Repaired)
		}
	}
}

func TestADamagedFrameThatNobodyCanGiveFailsItsReadersAlone(t *testing.T) {
	t.Parallel()
	c := filled(t)
	n := c.others(c.leader())[0]
	n.down()
	all := n.places()
	n.spoil(all[30], frameHeaderBytes+30, frameHeaderBytes+31)
	n.isolate(true)
	c.up(n)
	if err := n.readAll(); !errors.Is(err, engine.ErrCorrupt) || !strings.Contains(err.Error(), filepath.Base(all[30].file)) {
		t.Fatalf("reading what is damaged while no peer is in reach: %v", err)
	}
	n.isolate(false)
	c.until("the frame to be repaired", func() bool { return n.readAll() == nil })
	c.check()
}
