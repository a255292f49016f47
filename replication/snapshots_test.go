package replication

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine/checkpoint"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
)

// mark is a state that says at which frame it was taken.
type mark event.Index

func (m mark) Name() string { return "mark" }

func (m mark) Checkpoint(w io.Writer) error {
	_, err := fmt.Fprint(w, uint64(m))
	return err
}

// replica is a machine with its snapshots, without Raft.
type replica struct {
	*machine
	store     *LogStore
	snapshots *Snapshots
}

func openReplica(t *testing.T, m *machine) (*replica, error) {
	t.Helper()
	s, err := m.Open()
	if err != nil {
		return nil, err
	}
	r := &replica{machine: m, store: s.(*LogStore)}
	if r.snapshots, err = OpenSnapshots(m.disk, r.store); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return r, nil
}

func mustOpenReplica(t *testing.T, m *machine) *replica {
	t.Helper()
	r, err := openReplica(t, m)
	if err != nil {
		t.Fatalf("%v\n%s", err, m.Replay())
	}
	return r
}

// fill stores entries of a term to last.
func (r *replica) fill(t *testing.T, last, term uint64) {
	t.Helper()
	end, _, _ := r.log.End()
	var entries []*raft.Log
	for i := uint64(end) + 1; i <= last; i++ {
		entries = append(entries, &raft.Log{Index: i, Term: term, Type: raft.LogCommand, Data: r.Command(i*10+term, 2000)})
	}
	if err := r.store.StoreLogs(entries); err != nil {
		t.Fatal(err)
	}
}

var voters = raft.Configuration{Servers: []raft.Server{{ID: "a", Address: "b"}}}

func (r *replica) trimTo(end event.Index) error { return r.snapshots.Trim(end, voters, mark(end)) }

// base checks that the base checkpoint is where the log begins and has the
// state of that place, and returns the place.
func (r *replica) base(t *testing.T) event.Index {
	t.Helper()
	b := r.log.Base()
	metas, err := r.snapshots.List()
	if err != nil {
		t.Fatal(err)
	}
	if len(metas) == 0 {
		if b.Index != 0 {
			t.Fatalf("no snapshot, the log begins after frame %d", b.Index)
		}
		return 0
	}
	m, source, err := r.snapshots.Open(metas[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	all, err := io.ReadAll(source)
	if err != nil || int64(len(all)) != m.Size || m.Index != uint64(b.Index) || m.Term != uint64(b.Term) || len(m.Configuration.Servers) != 1 {
		t.Fatalf("snapshot %+v of %d bytes, %v; the log begins after %+v\n%s", m, len(all), err, b, r.Replay())
	}
	c, err := checkpoint.NewReader(bytes.NewReader(all), testLog)
	if err != nil || BaseOf(c.Header()) != b {
		t.Fatalf("checkpoint %+v, %v; the log begins after %+v", c.Header(), err, b)
	}
	_, section, err := c.Next()
	if err != nil {
		t.Fatal(err)
	}
	if state, err := io.ReadAll(section); err != nil || string(state) != fmt.Sprint(uint64(b.Index)) {
		t.Fatalf("the state is that at frame %s, %v; the log begins after %d", state, err, b.Index)
	}
	return b.Index
}

func TestATrimIsWholeAcrossPowerCutsAtEveryStep(t *testing.T) {
	t.Parallel()
	for _, seed := range seedList()[:max(1, len(seedList())/12)] {
		for cut := uint64(1); trimAndCut(t, seed, cut); cut++ {
		}
	}
}

// trimAndCut reports whether the power went during two trims.
func trimAndCut(t *testing.T, seed, cut uint64) bool {
	t.Helper()
	m := newMachine(t, seed).(*machine)
	r := mustOpenReplica(t, m)
	r.fill(t, 150, 2)
	ends := r.log.SegmentEnds()
	m.CutAfter(cut)
	var trimmed event.Index
	for _, end := range []event.Index{ends[0], ends[2]} {
		if r.trimTo(end) != nil {
			break
		}
		trimmed = end
	}
	lost := m.Lost()
	m.Restart()
	r = mustOpenReplica(t, m)
	if got := r.base(t); got < trimmed {
		t.Errorf("trimmed through frame %d; after a cut in step %d through %d", trimmed, cut, got)
	}
	if end, _, _ := r.log.End(); end != 150 {
		t.Errorf("the log ends with %d", end)
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	return lost
}

// receive installs a snapshot as Raft does.
func (r *replica) receive(meta *raft.SnapshotMeta, snapshot []byte) error {
	sink, err := r.snapshots.Create(meta.Version, meta.Index, meta.Term, meta.Configuration, meta.ConfigurationIndex, nil)
	if err != nil {
		return err
	}
	if _, err := sink.Write(snapshot); err != nil {
		return errors.Join(err, sink.Cancel())
	}
	if err := sink.Close(); err != nil {
		return err
	}
	_, source, err := r.snapshots.Open(sink.ID())
	if err != nil {
		return err
	}
	defer source.Close()
	c, err := checkpoint.NewReader(source, testLog)
	if err != nil {
		return err
	}
	return r.store.Reset(BaseOf(c.Header()))
}

// sent is a snapshot at the end of a segment, as a leader would send it.
func sent(t *testing.T) (*raft.SnapshotMeta, []byte) {
	t.Helper()
	r := mustOpenReplica(t, newMachine(t, 1).(*machine))
	defer r.log.Close()
	r.fill(t, 150, 3)
	if err := r.trimTo(r.log.SegmentEnds()[2]); err != nil {
		t.Fatal(err)
	}
	metas, err := r.snapshots.List()
	if err != nil {
		t.Fatal(err)
	}
	m, source, err := r.snapshots.Open(metas[0].ID)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	b, err := io.ReadAll(source)
	if err != nil {
		t.Fatal(err)
	}
	return m, b
}

func TestAnInstallationIsWholeAcrossPowerCutsAtEveryStep(t *testing.T) {
	t.Parallel()
	meta, snapshot := sent(t)
	for _, seed := range seedList()[:max(1, len(seedList())/12)] {
		for cut := uint64(1); installAndCut(t, seed, cut, meta, snapshot); cut++ {
		}
	}
}

// installAndCut reports whether the power went during the installation on a
// replica that has entries of its own: none, few, or past the snapshot.
func installAndCut(t *testing.T, seed, cut uint64, meta *raft.SnapshotMeta, snapshot []byte) bool {
	t.Helper()
	m := newMachine(t, seed).(*machine)
	r := mustOpenReplica(t, m)
	had := rand.New(rand.NewPCG(seed, 3)).Uint64N(2 * meta.Index)
	r.fill(t, had, 2)
	m.CutAfter(cut)
	done := r.receive(meta, snapshot) == nil
	lost := m.Lost()
	m.Restart()
	r = mustOpenReplica(t, m)
	base := r.base(t)
	end, _, _ := r.log.End()
	switch {
	case uint64(base) == meta.Index && uint64(end) == meta.Index:
	case base == 0 && uint64(end) == had && !done:
	default:
		t.Fatalf("seed %d, cut in step %d of an installation at frame %d: the log begins after %d and ends with %d, it had %d", seed, cut, meta.Index, base, end, had)
	}
	r.fill(t, uint64(end)+3, 3)
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	return lost
}

func TestASnapshotThatIsNotWhatTheLeaderAnnouncedIsRefused(t *testing.T) {
	t.Parallel()
	meta, snapshot := sent(t)
	r := mustOpenReplica(t, newMachine(t, 1).(*machine))
	defer r.log.Close()
	wrong := *meta
	wrong.Index--
	for what, err := range map[string]error{
		"another frame": r.receive(&wrong, snapshot),
		"cut short":     r.receive(meta, snapshot[:len(snapshot)-1]),
		"damaged":       r.receive(meta, append([]byte("x"), snapshot...)),
	} {
		if err == nil {
			t.Errorf("%s: installed", what)
		}
	}
	if metas, err := r.snapshots.List(); len(metas) > 0 || err != nil {
		t.Errorf("snapshots %v, %v", metas, err)
	}
	if err := r.receive(meta, snapshot); err != nil {
		t.Error(err)
	}
	if got := r.base(t); uint64(got) != meta.Index {
		t.Errorf("the log begins after %d", got)
	}
}

func TestALogWithoutWhatCoversItsBeginningIsRefused(t *testing.T) {
	t.Parallel()
	m := newMachine(t, 1).(*machine)
	r := mustOpenReplica(t, m)
	r.fill(t, 150, 2)
	ends := r.log.SegmentEnds()
	if err := r.trimTo(ends[0]); err != nil {
		t.Fatal(err)
	}
	old, err := disk.ReadWhole(m.disk, baseName, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(r.trimTo(ends[1]), r.trimTo(ends[0]), m.Close()); err != nil {
		t.Fatal(err)
	}
	if r = mustOpenReplica(t, m); r.base(t) != ends[1] {
		t.Error("a Trim that was too late moved the base back")
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if err := disk.WriteWhole(m.disk, baseName, old); err != nil {
		t.Fatal(err)
	}
	if _, err := openReplica(t, m); !errors.Is(err, checkpoint.ErrCorrupt) {
		t.Errorf("with an older base checkpoint: %v", err)
	}
	if err := m.disk.Remove(baseName); err != nil {
		t.Fatal(err)
	}
	if _, err := openReplica(t, m); !errors.Is(err, checkpoint.ErrCorrupt) {
		t.Errorf("without a base checkpoint: %v", err)
	}
}

func TestOnlyDurableFramesAreTrimmed(t *testing.T) {
	t.Parallel()
	m := newMachine(t, 1).(*machine)
	m.opts.Policy = commitlog.FlushOnRequest
	s, err := m.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	store := s.(*LogStore)
	store.mark = commitlog.Written
	r := &replica{machine: m, store: store}
	if r.snapshots, err = OpenSnapshots(m.disk, store); err != nil {
		t.Fatal(err)
	}
	r.fill(t, 10, 1)
	if err := r.trimTo(10); err == nil {
		t.Error("frames that are only written were covered by a base checkpoint")
	}
}
