// Package engine is an embeddable event log: a CommitLog on which everything
// else is a projection that can be deleted and rebuilt.
//
// It knows nothing of networks, of RocketMQ or of Raft. Whoever uses it
// proposes events as batches, which become frames of the log, and reads them
// back by queue and offset, by position or in log order.
//
// # Goroutines
//
//	flusher   (commitlog) writes, syncs, moves Written and Durable
//	keeper    (commitlog) zero-fill ahead, mark file
//	apply     completes proposals and folds committed frames into the
//	          projections, in log order
//	ticker    asks for syncs in ASYNC mode and for once-a-second work
//
// Readers run in the goroutines of their callers.
package engine
