package node

import (
	"context"
	"time"

	"github.com/apogeemq/apogee/server/duty"
)

// startDuties starts what a leader does by itself. A node without replicas is
// its own leader from start to stop.
func (n *Node) startDuties(context.Context) error {
	e := n.single.Engine()
	mover := duty.NewMover(duty.MoverConfig{Waiting: e.Waiting(), Events: e, Proposer: n.single, Settlement: n.broker.Settlement()})
	n.metrics.add(mover.WriteMetrics)
	retention := duty.NewRetention(duty.RetentionConfig{
		Rules: n.config.retention(), Proposer: n.single, Segments: e.Log(), Keeper: mover, Progress: e.Marks,
		Space: func() (uint64, uint64, error) { return diskSpace(n.config.StoreDir) },
		Clock: time.Now, Log: n.log,
	})
	n.metrics.add(retention.WriteMetrics)
	n.run(retention.Run)
	transactions := duty.NewTransactions(duty.TransactionsConfig{
		Interval: n.config.TransactionCheckInterval, ChecksMax: n.config.TransactionChecksMax, Keep: n.config.KeepTime,
		Proposer: n.single, Waiting: e.Waiting(), Producers: n.broker, WaitApplied: e.WaitApplied,
		Clock: time.Now, Log: n.log,
	})
	n.run(transactions.Run)
	delivery := duty.NewDelivery(duty.DeliveryConfig{
		Waiting: e.Waiting(), Events: e, Topics: e.Topics(), Proposer: n.single, Settlement: n.broker.Settlement(), Clock: time.Now, Log: n.log,
	})
	n.metrics.add(delivery.WriteMetrics)
	n.run(delivery.Run)
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
