package node

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Stop takes the node down in order. It also stops a node that hasn't come up
// completely. When it returns everything that was accepted is stored and the
// log is closed; the error says what was not done in order. Requests under way
// are waited for until the context or the configured time ends.
func (n *Node) Stop(ctx context.Context) error {
	began := time.Now()
	ctx, cancel := context.WithTimeout(ctx, n.config.ShutdownTime)
	defer cancel()
	if n.admin != nil {
		n.admin.notReady("stopping")
		n.admin.tracker.Store(nil)
	}
	n.stop()
	n.running.Wait()
	if n.registrar != nil {
		n.registrar.Stop(ctx)
	}
	failed := n.stopServing(ctx)
	if n.broker != nil {
		failed = append(failed, n.broker.Close())
	}
	if n.replica != nil {
		failed = append(failed, n.replica.Close())
	}
	if n.network != nil {
		failed = append(failed, n.network.Close())
	}
	if n.nameserver != nil {
		failed = append(failed, n.nameserver.Shutdown(ctx))
	}
	if n.admin != nil {
		n.admin.close(ctx)
	}
	err := errors.Join(failed...)
	n.log.Info("stopped", "took", time.Since(began).Round(time.Millisecond), "inOrder", err == nil)
	return err
}

// stopServing answers what is under way and closes the broker's connections.
func (n *Node) stopServing(ctx context.Context) []error {
	if n.broker != nil {
		n.broker.ReleasePulls()
	}
	if n.forward != nil {
		n.forward.Close()
	}
	failed := make([]error, len(n.servers))
	var closing sync.WaitGroup
	for i, s := range n.servers {
		closing.Go(func() { failed[i] = s.server.Shutdown(ctx) })
	}
	closing.Wait()
	return failed
}
