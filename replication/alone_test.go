package replication

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/checkpoint"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/disk/simdisk"
	"github.com/apogeemq/apogee/engine/event"
)

// member is a node on a simulated disk, alone or in a group.
type member struct {
	t    *testing.T
	disk *simdisk.Disk
	meta commitlog.Meta
}

// newMember is a node that has lived alone with three messages.
func newMember(t *testing.T) *member {
	m := &member{t: t, disk: simdisk.New(1, simdisk.Options{})}
	s := m.alone()
	m.meta = s.Engine().Log().Meta()
	m.propose(s, 3)
	return m
}

func (m *member) options() SingleOptions {
	d := m.disk
	fatal := func(err error) {
		if !d.Crashed() {
			m.t.Errorf("fatal with power: %v", err)
		}
	}
	return SingleOptions{
		Address: "127.0.0.1:10911",
		Engine: engine.Options{Log: commitlog.Options{
			Disk: d, SegmentBytes: 96 << 10, TailBytes: 64 << 10, HistoryBytes: 1 << 20, Fatal: fatal,
		}},
		Proposer: ProposerOptions{
			WaitingBytes: 1 << 20, WaitTime: time.Second, FlushTimeout: time.Minute, Now: func() int64 { return 1000 },
		},
	}
}

func (m *member) alone() *Single {
	m.t.Helper()
	return open(m.t, m.options())
}

// propose has messages stored one by one, and closes the node.
func (m *member) propose(s *Single, count int) {
	m.t.Helper()
	done := make(waiter, 1)
	for range count {
		if err := s.Propose(&engine.Proposal{Drafts: []event.Draft{message(event.Queue{Topic: 1}, "body")}, Completion: done}); err != nil {
			m.t.Fatal(err)
		}
		<-done
	}
	if err := s.Close(); err != nil {
		m.t.Fatal(err)
	}
}

func (m *member) id() raft.ServerID { return raft.ServerID(hex.EncodeToString(m.meta.Node[:])) }

func voter(id raft.ServerID) raft.Server {
	return raft.Server{Suffrage: raft.Voter, ID: id, Address: raft.ServerAddress(id)}
}

// inGroup lets Raft store entries of term 4, the last of them a configuration,
// and hear of term 7.
func (m *member) inGroup(servers ...raft.Server) {
	m.t.Helper()
	o := m.options().Engine.Log
	l, _, err := commitlog.Open(o)
	if err != nil {
		m.t.Fatal(err)
	}
	end, term, _ := l.End()
	stable, err := OpenStableStore(m.disk, m.meta.Log, term)
	if err != nil {
		m.t.Fatal(err)
	}
	next := uint64(end) + 1
	c := raft.EncodeConfiguration(raft.Configuration{Servers: servers})
	err = errors.Join(
		stable.SetUint64([]byte(keyTerm), 7),
		NewLogStore(l, commitlog.Durable).StoreLogs([]*raft.Log{
			{Index: next, Term: 4, Type: raft.LogNoop},
			{Index: next + 1, Term: 4, Type: raft.LogConfiguration, Data: c},
		}),
		l.Close())
	if err != nil {
		m.t.Fatal(err)
	}
}

// stored is the stable file, nil without one.
func (m *member) stored() []byte {
	m.t.Helper()
	b, err := disk.ReadWhole(m.disk, stableName, 2*stableBytesMax)
	if err != nil && !errors.Is(err, disk.ErrNotFound) {
		m.t.Fatal(err)
	}
	return b
}

// terms lists the terms of all frames.
func (m *member) terms() (all []event.Term) {
	m.t.Helper()
	l, _, err := commitlog.Open(m.options().Engine.Log)
	if err != nil {
		m.t.Fatal(err)
	}
	end, _, _ := l.End()
	err = l.CursorFrom(1).Visit(end, func(f commitlog.Frame) error {
		all = append(all, f.Term)
		return nil
	})
	if err = errors.Join(err, l.Close()); err != nil {
		m.t.Fatal(err)
	}
	return all
}

func TestALogThatWasNeverInAGroupGoesOnInItsTerm(t *testing.T) {
	t.Parallel()
	m := newMember(t)
	m.propose(m.alone(), 1)
	for i, term := range m.terms() {
		if term != 1 {
			t.Errorf("frame %d is of term %d", i+1, term)
		}
	}
	if m.stored() != nil {
		t.Error("a node that was never in a group stores a vote")
	}
}

func TestTheLastVoterOfAGroupLivesAloneInATermOfItsOwn(t *testing.T) {
	t.Parallel()
	m := newMember(t)
	m.inGroup(voter(m.id()), voter("other"))
	m.inGroup(voter(m.id()))
	for _, want := range []uint64{8, 9} {
		s := m.alone()
		m.disk = m.disk.Crash() // before it proposes
		_ = s.Close()
		s = m.alone()
		stable, err := OpenStableStore(m.disk, m.meta.Log, 0)
		if err != nil {
			t.Fatal(err)
		}
		if term, voted, who := state(t, stable); term != 2*want-7 || voted != term || who == "" {
			t.Errorf("term %d, voted in %d for %q; want term %d and a vote", term, voted, who, 2*want-7)
		}
		m.propose(s, 1)
		if terms := m.terms(); uint64(terms[len(terms)-1]) != 2*want-7 {
			t.Errorf("the new frame is of term %d; terms %v", terms[len(terms)-1], terms)
		}
	}
}

func TestANodeWhoseGroupHasOtherVotersIsNotOpenedAlone(t *testing.T) {
	t.Parallel()
	for name, servers := range map[string]func(*member) []raft.Server{
		"one of two": func(m *member) []raft.Server { return []raft.Server{voter(m.id()), voter("other")} },
		"removed":    func(m *member) []raft.Server { return []raft.Server{voter("other")} },
		"without a vote": func(m *member) []raft.Server {
			return []raft.Server{voter("other"), {Suffrage: raft.Nonvoter, ID: m.id()}}
		},
		"no voters": func(m *member) []raft.Server { return []raft.Server{{Suffrage: raft.Nonvoter, ID: m.id()}} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMember(t)
			m.inGroup(servers(m)...)
			before, names := m.stored(), listed(t, m.disk)
			for range 2 {
				if _, _, err := OpenSingle(m.options()); !errors.Is(err, ErrInGroup) {
					t.Fatalf("opened alone: %v", err)
				}
			}
			if !bytes.Equal(before, m.stored()) || len(m.terms()) != 6 {
				t.Error("the refusal has changed the log or the vote")
			}
			if now := listed(t, m.disk); len(now) != len(names) {
				t.Errorf("the refusal has left files: %q, before %q", now, names)
			}
		})
	}
}

func TestTheLogOfAMasterOrASlaveIsNotOpenedAlone(t *testing.T) {
	t.Parallel()
	for name, master := range map[string]bool{"master": true, "slave": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMember(t)
			self, other := voter(m.id()), voter("other")
			if master {
				other.Suffrage = raft.Nonvoter
			} else {
				self.Suffrage = raft.Nonvoter
			}
			m.inGroup(other, self)
			if _, _, err := OpenSingle(m.options()); !errors.Is(err, ErrHasSlaves) {
				t.Errorf("opened alone: %v", err)
			}
		})
	}
}

// listed are the projections' files: whatever is applied counts as committed.
func listed(t *testing.T, d *simdisk.Disk) []string {
	t.Helper()
	names, err := d.List("index")
	if err != nil && !errors.Is(err, disk.ErrNotFound) {
		t.Fatal(err)
	}
	return names
}

func TestAVoteOfRaftAfterALifeAloneAsksForTheConfigurationAgain(t *testing.T) {
	t.Parallel()
	m := newMember(t)
	m.inGroup(voter(m.id()))
	m.propose(m.alone(), 1)
	l, _, err := commitlog.Open(m.options().Engine.Log)
	if err != nil {
		t.Fatal(err)
	}
	end, term, _ := l.End()
	stable, err := OpenStableStore(m.disk, m.meta.Log, term)
	if err != nil {
		t.Fatal(err)
	}
	c := raft.EncodeConfiguration(raft.Configuration{Servers: []raft.Server{voter(m.id()), voter("other")}})
	err = errors.Join(
		stable.SetUint64([]byte(keyTerm), uint64(term)+1), vote(stable, uint64(term)+1, "127.0.0.1:1"),
		NewLogStore(l, commitlog.Durable).StoreLog(&raft.Log{Index: uint64(end) + 1, Term: uint64(term) + 1, Type: raft.LogConfiguration, Data: c}),
		l.Close())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := OpenSingle(m.options()); !errors.Is(err, ErrInGroup) {
		t.Errorf("opened alone: %v", err)
	}
}

func TestAnInstallationThatWasCutShortIsNotOpenedAlone(t *testing.T) {
	t.Parallel()
	m := newMember(t)
	m.inGroup(voter(m.id()))
	var b bytes.Buffer
	err := checkpoint.Write(&b, checkpoint.Header{LogID: m.meta.Log, Index: 500, Term: 4, Configuration: FirstConfiguration(m.meta.Node, "a")})
	if err == nil {
		err = disk.WriteWhole(m.disk, baseName, b.Bytes())
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := OpenSingle(m.options()); !errors.Is(err, ErrInGroup) {
		t.Errorf("opened alone: %v", err)
	}
}
