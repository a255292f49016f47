package clustertest

import (
	"io"
	"runtime"
	"sync/atomic"

	"github.com/hashicorp/raft"
)

// do runs an operation on the node's disk. Where the power is gone, or the node
// was given up, the goroutine gets no further: nobody hears of it again. That is
// how a machine ends; Raft itself would go on with an error, or panic.
func (l *life) do(operation func() error) error {
	l.gate.RLock()
	if l.over {
		l.gate.RUnlock()
		l.perish()
	}
	err := operation()
	lost := l.disk.Crashed()
	l.gate.RUnlock()
	if lost && err != nil {
		l.die()
		l.perish()
	}
	return err
}

// perish keeps the goroutine until the test is over.
func (l *life) perish() {
	<-l.node.cluster.over
	runtime.Goexit()
}

// mortalLog is a log store that dies with its machine. It counts what the
// scenarios are about.
type mortalLog struct {
	life *life
	raft.LogStore
	truncations atomic.Uint64 // suffixes deleted
	crossings   atomic.Uint64 // of them, how many went across segments
	refusals    atomic.Uint64 // StoreLogs that failed
}

func (m *mortalLog) IsMonotonic() bool { return true }

func (m *mortalLog) GetLog(index uint64, entry *raft.Log) error {
	return m.life.do(func() error { return m.LogStore.GetLog(index, entry) })
}

func (m *mortalLog) StoreLog(entry *raft.Log) error { return m.StoreLogs([]*raft.Log{entry}) }

func (m *mortalLog) StoreLogs(entries []*raft.Log) error {
	return m.life.do(func() error {
		err := m.LogStore.StoreLogs(entries)
		if err != nil {
			m.refusals.Add(1)
		}
		return err
	})
}

func (m *mortalLog) DeleteRange(first, last uint64) error {
	return m.life.do(func() error {
		before, end := len(m.life.log.SegmentEnds()), m.life.log.Marks().Appended
		err := m.LogStore.DeleteRange(first, last)
		if m.life.log.Marks().Appended < end {
			m.truncations.Add(1)
		}
		if len(m.life.log.SegmentEnds()) < before {
			m.crossings.Add(1)
		}
		return err
	})
}

// mortalStable is a stable store that dies with its machine.
type mortalStable struct {
	life *life
	raft.StableStore
}

func (m *mortalStable) Set(key, value []byte) error {
	return m.life.do(func() error { return m.StableStore.Set(key, value) })
}

func (m *mortalStable) SetUint64(key []byte, value uint64) error {
	return m.life.do(func() error { return m.StableStore.SetUint64(key, value) })
}

// mortalSnapshots is a snapshot store that dies with its machine.
type mortalSnapshots struct {
	life *life
	raft.SnapshotStore
}

func (m *mortalSnapshots) Create(v raft.SnapshotVersion, index, term uint64, c raft.Configuration, ci uint64, t raft.Transport) (sink raft.SnapshotSink, err error) {
	err = m.life.do(func() error {
		sink, err = m.SnapshotStore.Create(v, index, term, c, ci, t)
		return err
	})
	return &mortalSink{life: m.life, SnapshotSink: sink}, err
}

func (m *mortalSnapshots) Open(id string) (meta *raft.SnapshotMeta, source io.ReadCloser, err error) {
	err = m.life.do(func() error {
		meta, source, err = m.SnapshotStore.Open(id)
		return err
	})
	return meta, source, err
}

type mortalSink struct {
	life *life
	raft.SnapshotSink
}

func (m *mortalSink) Write(b []byte) (n int, err error) {
	err = m.life.do(func() error {
		n, err = m.SnapshotSink.Write(b)
		return err
	})
	return n, err
}

func (m *mortalSink) Close() error { return m.life.do(m.SnapshotSink.Close) }

// countingTransport counts snapshots that arrived.
type countingTransport struct {
	*raft.InmemTransport
	installs *atomic.Uint64
}

func (c *countingTransport) InstallSnapshot(id raft.ServerID, target raft.ServerAddress, args *raft.InstallSnapshotRequest, resp *raft.InstallSnapshotResponse, data io.Reader) error {
	err := c.InmemTransport.InstallSnapshot(id, target, args, resp, data)
	if err == nil {
		c.installs.Add(1)
	}
	return err
}
