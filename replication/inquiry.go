package replication

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/replication/transport"
)

// inquiry is what a node of a master and slaves does before it may lead again: a
// slave may have been made the master meanwhile. It asks every other member and
// every nameserver that it knows, and waits until all have answered or an
// administrator tells it to lead. Where somebody knows of a later term it begins
// as a slave. What its log has that the new master's hasn't goes aside.
type inquiry struct {
	ctx     context.Context
	options *GroupOptions
	text    *slog.Logger

	standsDown bool // the outcome: this node has no vote, whatever its log says
}

// differsName is the file of a slave whose log the master's contradicts in what
// is applied here. Its next start finds where the two differ.
const differsName = "differs"

// admit runs on the open log, of which nothing is applied yet.
func (q *inquiry) admit(l *commitlog.Log) error {
	kind, d, meta := q.options.MasterSlave, q.options.Engine.Log.Disk, l.Meta()
	if kind == nil {
		return nil
	}
	members, err := membersNow(d, l)
	if err != nil || len(members.Servers) == 0 {
		return err
	}
	if err := oneVoter(members); err != nil {
		return fmt.Errorf("open log %s as that of a master or slave: %w", d.Path(), err)
	}
	master := onlyVoter(members, meta.Node) == nil
	_, err = disk.ReadWhole(d, differsName, 1)
	differs := err == nil
	if err != nil && !errors.Is(err, disk.ErrNotFound) {
		return err
	}
	if !master && !differs {
		return nil
	}
	end, last, _ := l.End()
	stable, _, err := readStableStore(d, meta.Log, last)
	if err != nil {
		return err
	}
	hello := q.options.hello(meta.Node)
	hello.Log, hello.Term, hello.End = meta.Log, max(last, event.Term(stable.values.term)), end
	answering := q.options.Network.Introduce(hello)
	defer answering.End()
	leader, err := q.ask(hello, members, master)
	if err != nil || leader == "" {
		return err
	}
	q.standsDown = true
	if err := q.agree(l, leader, hello); err != nil {
		return fmt.Errorf("begin as a slave of the master at %s: %w", leader, err)
	}
	return removeIfThere(d, differsName)
}

// membersNow is the newest configuration of a log, none for an empty one or one
// that is being received.
func membersNow(d disk.Disk, l *commitlog.Log) (raft.Configuration, error) {
	base, err := baseHeader(d, l.Meta().Log)
	if err != nil {
		return raft.Configuration{}, err
	}
	end, _, _ := l.End()
	if end == 0 || base.Index > end {
		return raft.Configuration{}, nil
	}
	noted, err := openMembers(d, l.Meta().Log)
	if err != nil {
		return raft.Configuration{}, err
	}
	return noted.at(l, end, base)
}

// oneVoter refuses the log of a group that elects its leader. Two voters are a
// master and a slave between which the place was being handed over.
func oneVoter(c raft.Configuration) error {
	voters := 0
	for _, s := range c.Servers {
		if s.Suffrage == raft.Voter {
			voters++
		}
	}
	if voters > 2 {
		return fmt.Errorf("%w: its newest configuration has %d voters; start it with enableDLegerCommitLog, and remove the others there first", ErrInGroup, voters)
	}
	return nil
}

// ask returns the address of the master whose slave this node is, or nothing
// where it may lead.
func (q *inquiry) ask(hello transport.Hello, members raft.Configuration, master bool) (leader string, err error) {
	again := time.NewTicker(askPeriod)
	defer again.Stop()
	var told time.Time
	kind := q.options.MasterSlave
	if kind.Force && master {
		q.text.Warn("this node leads without having asked whether there is another master: it was told to", "group", q.options.Name)
		return "", nil
	}
	for {
		a := q.round(hello, members)
		switch {
		case a.leader != "" && (!master || a.later):
			return a.leader, nil
		case master && !a.later && len(a.silent) == 0:
			return "", nil
		}
		if time.Since(told) > tellPeriod {
			told = time.Now()
			q.tell(a, master)
		}
		select {
		case <-q.ctx.Done():
			return "", fmt.Errorf("find out who is the master of group %s: %w; no answer from %s", q.options.Name, q.ctx.Err(), strings.Join(a.silent, ", "))
		case <-kind.Forced:
			if master {
				q.text.Warn("an administrator has this node lead, whoever else may", "group", q.options.Name)
				return "", nil
			}
		case <-again.C:
		}
	}
}

func (q *inquiry) tell(a answers, master bool) {
	switch {
	case !master:
		q.text.Warn("this slave's log differs from its master's; waiting for the master to find where", "group", q.options.Name)
	case a.later:
		q.text.Warn("there was a later master than this node; it serves nothing until that one answers, or `apogee admin promote --force` tells it to lead",
			"group", q.options.Name, "noAnswerFrom", strings.Join(a.silent, ", "))
	default:
		q.text.Warn("this node was the master and serves nothing until everybody has said that there is no other; if those who don't answer are gone, use `apogee admin promote --force`",
			"group", q.options.Name, "noAnswerFrom", strings.Join(a.silent, ", "))
	}
}

// answers are those of one round.
type answers struct {
	leader string // address of one that leads, in a later term where there is such
	later  bool   // somebody knows of a later term
	silent []string
}

// round asks everybody once.
func (q *inquiry) round(hello transport.Hello, members raft.Configuration) (a answers) {
	var others []string
	for _, s := range members.Servers {
		if s.ID != serverID(hello.Node) {
			others = append(others, string(s.Address))
		}
	}
	addresses, latest, silent := whom(q.ctx, q.options.MasterSlave, q.options.Self.Address, others)
	a.silent, a.later = silent, latest > hello.Term
	for _, address := range addresses {
		answer, err := q.options.Network.Ask(q.ctx, address, hello)
		if err != nil {
			a.silent = append(a.silent, fmt.Sprintf("%s (%v)", address, err))
			continue
		}
		if answer.Term > hello.Term {
			a.later = true
		}
		if answer.Leads && answer.Log == hello.Log && (a.leader == "" || answer.Term > hello.Term) {
			a.leader = address
		}
	}
	return a
}

// whom lists the addresses to ask: those given, and those that nameservers know
// the master by. latest is the latest term that a nameserver has heard of.
func whom(ctx context.Context, kind *MasterSlave, self string, others []string) (addresses []string, latest event.Term, silent []string) {
	known, silent := kind.Masters(ctx)
	addresses = slices.Clone(others)
	for _, m := range known {
		latest = max(latest, m.Term)
		addresses = append(addresses, m.Address)
	}
	slices.Sort(addresses)
	addresses = slices.DeleteFunc(slices.Compact(addresses), func(a string) bool { return a == "" || a == self })
	return addresses, latest, silent
}

// agree drops what this log has and the master's hasn't, once it is put aside.
func (q *inquiry) agree(l *commitlog.Log, leader string, hello transport.Hello) error {
	peer, err := q.options.Network.Inquire(q.ctx, leader, hello)
	if err != nil {
		return err
	}
	defer peer.Close()
	common, known, err := commonEnd(l, peer)
	if err != nil {
		return err
	}
	end, _, _ := l.End()
	if common == end {
		return nil
	}
	aside := common
	if !known {
		if aside, err = replicatedThrough(q.options.Engine.Log.Disk, l.Meta().Log); err != nil {
			return err
		}
	}
	d, err := putAside(l, aside, q.options.MasterSlave.Divergent)
	if err != nil {
		return err
	}
	q.text.Error("this node's log ended with frames that the new master hasn't got; they were put aside and dropped here",
		"group", q.options.Name, "first", d.First, "last", d.Last, "folder", d.Name())
	if first, _ := l.First(); known && common >= first {
		return l.Truncate(common + 1)
	}
	return q.empty(l)
}

// empty lets the log begin from nothing: the master sends what it has.
func (q *inquiry) empty(l *commitlog.Log) error {
	d := q.options.Engine.Log.Disk
	if err := removeIfThere(d, baseName); err != nil {
		return err
	}
	return l.Reset(commitlog.Base{})
}

// commonEnd is the last frame that this log and the peer's have in common. It
// isn't known where the peer has dropped that part of its log.
func commonEnd(l *commitlog.Log, peer *transport.Inquirer) (common event.Index, known bool, err error) {
	base := l.Base()
	end, _, _ := l.End()
	unknown := false
	differ := func(i int) bool {
		index := base.Index + event.Index(i)
		theirs, failed := peer.TermAt(index)
		mine := base.Term
		if i > 0 && failed == nil {
			mine, failed = termAt(l, index)
		}
		err = errors.Join(err, failed)
		unknown = theirs == 0 && index <= peer.Peer.End
		return theirs != mine && !unknown
	}
	// Index 0 is before everything and the same everywhere.
	from := 0
	if base.Index == 0 {
		from = 1
	}
	count := int(end-base.Index) + 1
	at := from + sort.Search(count-from, func(i int) bool { return differ(from + i) })
	if err != nil {
		return 0, false, err
	}
	if at == from {
		return 0, base.Index == 0, nil
	}
	differ(at - 1)
	return base.Index + event.Index(at) - 1, !unknown, err
}

func termAt(l *commitlog.Log, index event.Index) (term event.Term, err error) {
	err = l.NewReader().Frame(index, func(f commitlog.Frame) error {
		term = f.Term
		return nil
	})
	return term, err
}

func removeIfThere(d disk.Disk, name string) error {
	err := d.Remove(name)
	if errors.Is(err, disk.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return d.SyncDir(".")
}

// withoutVote is a configuration in which a node has no vote.
func withoutVote(c raft.Configuration, node raft.ServerID) raft.Configuration {
	c = c.Clone()
	for i := range c.Servers {
		if c.Servers[i].ID == node {
			c.Servers[i].Suffrage = raft.Nonvoter
		}
	}
	return c
}
