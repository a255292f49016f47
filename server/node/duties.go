package node

import (
	"context"

	"github.com/apogeemq/apogee/server/duty"
)

// makeDuties makes what a leader does by itself. A node without replicas is its
// own leader from start to stop.
func (n *Node) makeDuties(context.Context) error {
	e := n.replica.Engine()
	mover := duty.NewMover(duty.MoverConfig{Waiting: e.Waiting(), Events: e, Proposer: n.replica, Settlement: n.broker.Settlement(), Room: e.Log().RoomToFree})
	n.metrics.add(mover.WriteMetrics)
	retention := duty.NewRetention(duty.RetentionConfig{
		Rules: n.config.retention(), Proposer: n.replica, Segments: e.Log(), Keeper: mover, Progress: e.Marks,
		Space: func() (uint64, uint64, error) { return diskSpace(n.config.StoreDir) },
		Clock: n.faults.now, Log: n.log,
	})
	n.metrics.add(retention.WriteMetrics)
	transactions := duty.NewTransactions(duty.TransactionsConfig{
		Interval: n.config.TransactionCheckInterval, ChecksMax: n.config.TransactionChecksMax, Keep: n.config.KeepTime,
		Proposer: n.replica, Waiting: e.Waiting(), Producers: n.broker, WaitApplied: e.WaitApplied,
		Clock: n.faults.now, Log: n.log,
	})
	delivery := duty.NewDelivery(duty.DeliveryConfig{
		Waiting: e.Waiting(), Events: e, Topics: e.Topics(), Proposer: n.replica, Settlement: n.broker.Settlement(), Clock: n.faults.now, Log: n.log,
	})
	n.metrics.add(delivery.WriteMetrics)
	n.duties = []func(context.Context){retention.Run, transactions.Run, delivery.Run}
	return nil
}

// retention is what the configuration says about old messages.
func (c *Config) retention() duty.Rules {
	r := duty.Rules{Keep: c.KeepTime, Hours: c.DeleteHours, ExpirePercent: c.ExpirePercent,
		ForciblePercent: c.ForciblePercent, SizeBytes: c.LogSizeMax}
	if !c.CleanForcibly {
		r.ForciblePercent = 0
	}
	return r
}
