package replication

import (
	"context"
	"time"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/replication/transport"
)

// joinPeriod is the time between two attempts of a slave to be found by its
// master.
const joinPeriod = time.Second

// join asks whoever may be the master to send this slave the log, as long as
// nobody does: the slave is new, or has another address than before.
func (g *Group) join() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	again := time.NewTicker(joinPeriod)
	defer again.Stop()
	for {
		select {
		case <-g.stop:
			return
		case <-again.C:
		}
		if _, leader := g.raft.LeaderWithID(); leader == "" && !g.isVoter(g.id) {
			g.knock(ctx)
		}
	}
}

func (g *Group) knock(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, g.options.Times.Rounds)
	defer cancel()
	hello := g.hello()
	hello.Joins = true
	var others []string
	for _, s := range g.raft.GetConfiguration().Configuration().Servers {
		others = append(others, string(s.Address))
	}
	addresses, _, _ := whom(ctx, g.options.MasterSlave, g.options.Self.Address, others)
	for _, a := range addresses {
		_, _ = g.options.Network.Ask(ctx, a, hello) // it is there, or it will be asked again
	}
}

// joins gives a slave the log that asks for it. It doesn't wait.
func (g *Group) joins(peer transport.Hello) {
	if g.options.MasterSlave == nil || !g.Role().Leads || peer.Node == ([16]byte{}) {
		return
	}
	id, address := serverID(peer.Node), raft.ServerAddress(peer.Address)
	for _, s := range g.raft.GetConfiguration().Configuration().Servers {
		if s.ID == id && s.Address == address {
			return
		}
	}
	if !g.joining.TryLock() {
		return // it asks again
	}
	go func() {
		defer g.joining.Unlock()
		if err := g.addSlave(id, address); err != nil {
			g.text.Warn("a slave that asks for the log doesn't get it yet", "group", g.options.Name, "address", address, "cause", err)
			return
		}
		g.text.Info("a slave joins", "group", g.options.Name, "node", peer.Name, "address", address)
	}()
}

// addSlave makes a node a member without a vote, or gives one another address.
// One that was at that address, whose disk was replaced, goes.
func (g *Group) addSlave(id raft.ServerID, address raft.ServerAddress) error {
	for _, s := range g.raft.GetConfiguration().Configuration().Servers {
		if s.Address == address && s.ID != id && s.ID != g.id {
			if err := g.change(g.raft.RemoveServer(s.ID, 0, changeTime)); err != nil {
				return err
			}
		}
	}
	return g.change(g.raft.AddNonvoter(id, address, 0, changeTime))
}
