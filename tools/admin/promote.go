package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/apogeemq/apogee/server/remoting"
	"github.com/apogeemq/apogee/tools/client"
)

// diagnoseSlaves says for the statuses 11 and 12 what is wrong with a master's
// slaves and what helps. which names the broker where there are several.
func (g *replicaGroup) diagnoseSlaves(which string) {
	if n := len(g.Divergent); n > 0 {
		g.say("%d parts of the log that this broker had and its master hasn't were put aside: look at them with `apogee log dump` below divergent/ "+
			"(%s), send on what is missing, then remove them", n, strings.Join(g.Divergent, ", "))
	}
	if g.Leader == "" {
		g.say("no master: start it, or, if it is gone for good, `apogee admin promote HOST:PORT` makes a slave the master; nothing is stored until then")
		return
	}
	if !g.Leads {
		return // the others are known to the master
	}
	for i := range g.Members {
		m := &g.Members[i]
		silent := time.Duration(m.SilentMsec) * time.Millisecond
		switch {
		case m.Self:
		case m.SilentMsec < 0 || silent > silentMax:
			g.say("slave %s does not answer: start it, or, if it is gone for good, `apogee admin remove-peer %s%s`", m.called(), m.called(), which)
		case !m.InSync && g.SlavesWanted > 0:
			g.say("slave %s is %d MiB behind and isn't waited for until it has caught up; maxHaTransferByteInSecond limits how fast", m.called(), m.LagBytes>>20)
		case m.LagFrames > 0 && m.LagBytes > lagMax:
			g.say("slave %s is %d MiB behind: sends may be answered with FLUSH_SLAVE_TIMEOUT (12), which its disk or the network is too slow for; "+
				"`apogee admin remove-peer %s%s` goes on without it once it is stopped", m.called(), m.LagBytes>>20, m.called(), which)
		}
	}
	if g.SlavesInSync < g.SlavesWanted {
		g.say("%d of %d slaves are in sync that inSyncReplicas asks for: sends are answered with SLAVE_NOT_AVAILABLE (11), and are on this broker's disk alone if there are none; "+
			"start a slave, which joins by itself", g.SlavesInSync, g.SlavesWanted)
	}
}

// promoteTime is how long a switch may take.
const promoteTime = time.Minute

// promoteCommand makes a slave the master.
func (o *options) promoteCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: "promote HOST:PORT", Short: "Make a slave the master, by its address for clients", Args: cobra.ExactArgs(1),
		Long: "Make a slave the master, by its address for clients. A master that answers hands over and becomes a slave:\n" +
			"nothing is lost and sends go on within a second. Without one the slave's log is the log from now on.\n" +
			"With --force nobody is asked: a slave is made the master although a master may live somewhere, or a master\n" +
			"that waits for others' answers leads. What the other one stores meanwhile is put aside when it comes back.",
		RunE: o.show(func(ctx context.Context, c *client.Cluster, args []string) (view, error) {
			return promote(ctx, c, args[0], force)
		}),
	}
	cmd.Flags().BoolVar(&force, "force", false, "don't ask whether there is another master")
	return cmd
}

func promote(ctx context.Context, c *client.Cluster, address string, force bool) (view, error) {
	if !force {
		handed, err := handOver(ctx, c, address)
		if handed || err != nil {
			return showReplicas(ctx, c, address, err)
		}
	}
	request := client.NewRequest(remoting.RequestPromoteReplica, "force", fmt.Sprint(force))
	answer, err := c.AskLong(ctx, address, request, promoteTime)
	if err == nil && answer.Code != remoting.ResponseSuccess {
		err = &client.Refusal{Address: address, Code: answer.Code, Remark: string(answer.Remark)}
	}
	return showReplicas(ctx, c, address, err)
}

// handOver has the master that a slave knows give its place to it. It reports
// false where none answers.
func handOver(ctx context.Context, c *client.Cluster, address string) (handed bool, err error) {
	g, err := groupAt(ctx, c, address)
	var refusal *client.Refusal
	if errors.As(err, &refusal) && refusal.Code == remoting.ResponseServiceNotAvailable {
		return false, nil // it asks who the master is, and will say what it waits for
	}
	if err != nil {
		return false, err
	}
	if !g.MasterSlave {
		return false, fmt.Errorf("%s is no slave of a master; `apogee admin transfer` moves the leadership of a group", address)
	}
	self := slices.IndexFunc(g.Members, func(m replica) bool { return m.Self })
	master := slices.IndexFunc(g.Members, func(m replica) bool { return m.Leader && m.Service != "" })
	if g.Leads || self < 0 || master < 0 {
		return g.Leads, nil
	}
	request := client.NewRequest(remoting.RequestTransferLeadership, "peer", g.Members[self].ID)
	answer, err := c.AskLong(ctx, g.Members[master].Service, request, promoteTime)
	switch {
	case err != nil:
		return false, nil // the slave finds out whether it is gone
	case answer.Code != remoting.ResponseSuccess:
		return false, &client.Refusal{Address: g.Members[master].Service, Code: answer.Code, Remark: string(answer.Remark)}
	}
	return true, nil
}

// groupAt is what a broker tells of its group.
func groupAt(ctx context.Context, c *client.Cluster, address string) (*replicaGroup, error) {
	answer, err := c.Call(ctx, address, client.NewRequest(remoting.RequestGetReplicas))
	if err != nil {
		return nil, err
	}
	g := &replicaGroup{Broker: address}
	return g, g.decode(answer.Body)
}

func showReplicas(ctx context.Context, c *client.Cluster, address string, err error) (view, error) {
	if err != nil {
		return nil, err
	}
	g, err := groupAt(ctx, c, address)
	var refusal *client.Refusal
	if errors.As(err, &refusal) && refusal.Code == remoting.ResponseServiceNotAvailable {
		return &replicaGroup{Broker: address, Problems: []string{"it was told to lead and is starting"}}, nil
	}
	if err != nil {
		return nil, err
	}
	g.diagnose(false)
	return g, nil
}
