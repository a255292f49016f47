package replication

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
)

// Frames that this copy of the log has and the group hasn't, because a slave was
// made the master that hadn't got them, are put aside before they are dropped:
// as a log of their own, which begins where the two differ.

// Divergence names frames that were put aside.
type Divergence struct {
	First, Last event.Index
	Chain       uint32 // checksum of the last one's header
}

// Name of the folder.
func (d Divergence) Name() string { return fmt.Sprintf("%020d-%020d.%08x", d.First, d.Last, d.Chain) }

var divergenceName = regexp.MustCompile(`^([0-9]{20})-([0-9]{20})\.([0-9a-f]{8})$`)

// ParseDivergence reads the name of a folder.
func ParseDivergence(name string) (d Divergence, ok bool) {
	m := divergenceName.FindStringSubmatch(name)
	if m == nil {
		return d, false
	}
	first, err := strconv.ParseUint(m[1], 10, 64)
	last, err2 := strconv.ParseUint(m[2], 10, 64)
	chain, err3 := strconv.ParseUint(m[3], 16, 32)
	return Divergence{event.Index(first), event.Index(last), uint32(chain)}, errors.Join(err, err2, err3) == nil
}

// putAside copies the frames behind one to a log of their own, durably.
func putAside(l *commitlog.Log, after event.Index, folder func(string) (disk.Disk, error)) (d Divergence, err error) {
	end, _, _ := l.End()
	base := l.Base()
	largest := uint32(0)
	d.First, d.Last = max(after, base.Index)+1, end
	if d.First > d.Last {
		return d, nil
	}
	begin := base
	from := max(base.Index+1, after) // the one before the first tells where they begin
	err = l.CursorFrom(from).Visit(end, func(f commitlog.Frame) error {
		if f.Index < d.First {
			begin = commitlog.Base{Index: f.Index, Term: f.Term, Position: f.End(), Timestamp: f.Timestamp, Chain: f.CRC}
		} else {
			largest = max(largest, f.DataBytes)
		}
		d.Chain = f.CRC
		return nil
	})
	if err != nil {
		return d, fmt.Errorf("put frames %d to %d aside: %w", d.First, d.Last, err)
	}
	target, err := folder(d.Name())
	if err == nil {
		err = copyFrames(l, d, begin, sizesFor(int64(largest)), target)
	}
	if err != nil {
		return d, fmt.Errorf("put frames %d to %d aside: %w", d.First, d.Last, err)
	}
	return d, nil
}

// sizesFor are those of a log that takes frames of so many bytes.
func sizesFor(data int64) commitlog.Options {
	const unit, small = 64 << 10, 256 << 10
	up := func(n int64) int64 { return (n + unit - 1) / unit * unit }
	tail := max(small, up(4*(data+unit)))
	return commitlog.Options{TailBytes: int(tail), SegmentBytes: max(4*small, up(2*tail)), HistoryBytes: 1 << 20}
}

func copyFrames(l *commitlog.Log, d Divergence, begin commitlog.Base, o commitlog.Options, target disk.Disk) error {
	o.Disk, o.Create = target, commitlog.Creation{Meta: l.Meta(), Base: begin}
	var failed error
	o.Fatal = func(err error) { failed = err }
	aside, _, err := commitlog.Open(o)
	if err != nil {
		return err
	}
	var last commitlog.Ticket
	err = l.CursorFrom(d.First).Visit(d.Last, func(f commitlog.Frame) (err error) {
		last, err = aside.Append(commitlog.Batch{Kind: f.Kind, Term: f.Term, Events: int(f.Events), Timestamp: f.Timestamp, Data: f.Data})
		return err
	})
	if err == nil {
		err = aside.Wait(last, commitlog.Durable)
	}
	return errors.Join(err, failed, aside.Close())
}

// beforeCut runs before a master's entries take the place of others. What isn't
// applied goes aside; what is can't be taken back while the node runs.
func (g *Group) beforeCut(from event.Index) error {
	l := g.engine.Log()
	if from > g.engine.Marks().Committed {
		d, err := putAside(l, from-1, g.options.MasterSlave.Divergent)
		if err == nil && d.First <= d.Last {
			g.text.Error("this slave's log ended with frames that its master hasn't got; they were put aside and dropped here",
				"group", g.options.Name, "first", d.First, "last", d.Last, "folder", d.Name())
		}
		return err
	}
	err := disk.WriteWhole(g.options.Engine.Log.Disk, differsName, nil)
	g.startAgain("its master's log differs from frame " + strconv.FormatUint(uint64(from), 10) + " on, which is applied here")
	return errors.Join(fmt.Errorf("drop the log from frame %d on: it is applied here; the node has to start again", from), err)
}

// beforeReset runs before a master's checkpoint takes the place of this slave's
// log, which ends with frame end of a term. Frames of one term are of one master,
// and terms that follow one upon the other are of masters that had each what the
// one before had stored: so those logs are the same as far as the shorter goes.
// Only a promotion leaps (termLeap), and that master may lack what is here.
func (g *Group) beforeReset(base *raft.SnapshotMeta) error {
	l := g.engine.Log()
	end, term, _ := l.End()
	same := end <= event.Index(base.Index) && term <= event.Term(base.Term) && event.Term(base.Term)-term < termLeap
	if same || event.Index(base.Index) <= g.engine.Marks().Applied {
		return nil // the engine leaves what is applied; beforeCut is asked about the rest
	}
	through, err := replicatedThrough(g.options.Engine.Log.Disk, l.Meta().Log)
	if err != nil {
		return err
	}
	d, err := putAside(l, through, g.options.MasterSlave.Divergent)
	if err == nil && d.First <= d.Last {
		g.text.Error("this slave's log ended with frames that its master may lack, which has dropped that part of its own; they were put aside and dropped here",
			"group", g.options.Name, "first", d.First, "last", d.Last, "folder", d.Name())
	}
	return err
}

// deposed looks why this node leads no more. An only voter loses its place to
// nobody but a slave that was promoted while the two didn't see each other.
func (g *Group) deposed() {
	if g.options.MasterSlave == nil {
		return
	}
	_, leader := g.raft.LeaderWithID()
	alone := onlyVoter(g.raft.GetConfiguration().Configuration(), g.engine.Log().Meta().Node) == nil
	if alone && leader != "" && leader != g.id {
		g.startAgain("another node was made the master meanwhile")
	}
}

func (g *Group) startAgain(why string) {
	g.differing.Do(func() {
		g.text.Error("this node has to start again, to find what its log has and its master's hasn't", "group", g.options.Name, "why", why)
		close(g.differs)
	})
}

// Differs is closed when this node's log differs from its master's in what is
// applied here. It must be closed and opened again.
func (g *Group) Differs() <-chan struct{} { return g.differs }
