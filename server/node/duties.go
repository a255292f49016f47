package node

import (
	"context"

	"github.com/apogeemq/apogee/server/duty"
)

// makeDuties makes what a leader does by itself. A node without replicas is its
// own leader from start to stop.
func (s *shard) makeDuties(context.Context) error {
	e := s.replica.Engine()
	mover := duty.NewMover(duty.MoverConfig{Waiting: e.Waiting(), Events: e, Proposer: s.replica, Settlement: s.broker.Settlement(), Room: e.Log().RoomToFree})
	s.metrics.add(mover.WriteMetrics)
	retention := duty.NewRetention(duty.RetentionConfig{
		Rules: s.config.retention(), Proposer: s.replica, Segments: e.Log(), Keeper: mover, Progress: e.Marks,
		Space: func() (uint64, uint64, error) { return diskSpace(s.config.StoreDir) },
		Clock: s.node.faults.now, Log: s.log,
	})
	s.metrics.add(retention.WriteMetrics)
	transactions := duty.NewTransactions(duty.TransactionsConfig{
		Interval: s.config.TransactionCheckInterval, ChecksMax: s.config.TransactionChecksMax, Keep: s.config.KeepTime,
		Proposer: s.replica, Waiting: e.Waiting(), Producers: s.broker, WaitApplied: e.WaitApplied,
		Clock: s.node.faults.now, Log: s.log,
	})
	delivery := duty.NewDelivery(duty.DeliveryConfig{
		Waiting: e.Waiting(), Events: e, Topics: e.Topics(), Proposer: s.replica, Settlement: s.broker.Settlement(), Clock: s.node.faults.now, Log: s.log,
	})
	s.metrics.add(delivery.WriteMetrics)
	s.duties = []func(context.Context){retention.Run, transactions.Run, delivery.Run}
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
