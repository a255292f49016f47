package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/apogeemq/apogee/bench/process"
)

// Node is one process, most of the time, with its folder and its links.
type Node struct {
	cluster *Cluster
	index   int
	ports   ports
	links   links

	life   *life // nil before the first
	medium Medium
}

// life is one process of a node.
type life struct {
	*process.Process
	excused atomic.Bool // its end is somebody's wish
}

const (
	readyTime    = 60 * time.Second
	readyPoll    = 5 * time.Millisecond
	terminateMax = 40 * time.Second
)

// Index is the node's number.
func (n *Node) Index() int { return n.index }

// Name is what its group calls the node.
func (n *Node) Name() string { return fmt.Sprintf("n%d", n.index) }

// Medium is what the last process of the node was started on.
func (n *Node) Medium() Medium { return n.medium }

// PID is the id of the node's process.
func (n *Node) PID() int { return n.life.PID() }

// Direct is the address of a broker of the node, past the links.
func (n *Node) Direct(broker int) string { return onLoopback(n.ports.broker(broker)) }

// Peer is the node's address for replication.
func (n *Node) Peer() string { return onLoopback(n.ports.replication()) }

func onLoopback(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// LogFolders are where the node's logs are.
func (n *Node) LogFolders() ([]string, error) {
	found, err := filepath.Glob(filepath.Join(n.dataDir(), "log"))
	if err == nil && len(found) == 0 {
		found, err = filepath.Glob(filepath.Join(n.dataDir(), "*", "log"))
	}
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("node %d has no log below %s", n.index, n.dataDir())
	}
	return found, err
}

func (n *Node) dir() string      { return n.cluster.options.Dir }
func (n *Node) dataDir() string  { return filepath.Join(n.dir(), fmt.Sprintf("node%d", n.index)) }
func (n *Node) imageDir() string { return filepath.Join(n.dir(), fmt.Sprintf("image%d", n.index)) }
func (n *Node) logName() string  { return fmt.Sprintf("node%d.log", n.index) }
func (n *Node) logPath() string  { return filepath.Join(n.dir(), n.logName()) }

// host is the address that clients are told.
func (n *Node) host() string {
	if n.cluster.options.Plain {
		return "127.0.0.1"
	}
	return fmt.Sprintf("127.0.1.%d", n.index+1)
}

// Launch starts a process and returns at once.
func (n *Node) Launch(m Medium, seed uint64) error {
	arguments := append([]string{n.cluster.options.Binary}, n.cluster.arguments(n.index)...)
	var environment []string
	if !n.cluster.options.Plain {
		environment = append(m.environment(seed), n.cluster.detours(n.index)...)
	}
	p, err := process.Start(n.dir(), n.logName(), environment, arguments...)
	if err != nil {
		return err
	}
	l := &life{Process: p}
	n.life, n.medium = l, m
	go func() {
		<-p.Ended()
		if !l.excused.Load() {
			n.cluster.options.Died(n.index, p.Failure())
		}
	}()
	return nil
}

// AwaitReady waits until the process takes requests. It is an error when it
// ends before that.
func (n *Node) AwaitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTime, fmt.Errorf("node %d was not ready within %v", n.index, readyTime))
	defer cancel()
	ticker := time.NewTicker(readyPoll)
	defer ticker.Stop()
	for {
		if n.isReady(ctx) {
			return nil
		}
		select {
		case <-n.life.Ended():
			return fmt.Errorf("wait for node %d: %w", n.index, n.life.Failure())
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
	}
}

// Excuse says that the process may end by itself from now on. The channel is
// closed when it has.
func (n *Node) Excuse() <-chan struct{} {
	n.life.excused.Store(true)
	return n.life.Ended()
}

// Kill ends the process as kill -9 does.
func (n *Node) Kill() error {
	if n.life == nil {
		return nil
	}
	n.life.excused.Store(true)
	return n.life.Kill()
}

// Terminate asks the process to end and waits for it. Only an orderly end is
// no error.
func (n *Node) Terminate(ctx context.Context) error {
	n.life.excused.Store(true)
	if err := n.life.Signal(unix.SIGTERM); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, terminateMax)
	defer cancel()
	select {
	case <-n.life.Ended():
	case <-ctx.Done():
		return fmt.Errorf("node %d did not end within %v of SIGTERM", n.index, terminateMax)
	}
	if code := n.life.ExitCode(); code != 0 {
		return fmt.Errorf("after SIGTERM: %w", n.life.Failure())
	}
	return nil
}

// Pause stops the process from running; Resume lets it go on.
func (n *Node) Pause() error { return n.life.Signal(unix.SIGSTOP) }

// Resume lets the process go on.
func (n *Node) Resume() error { return n.life.Signal(unix.SIGCONT) }

// Empty removes everything that the node has stored. The process must not run.
func (n *Node) Empty() error {
	if err := os.RemoveAll(n.dataDir()); err != nil {
		return fmt.Errorf("empty node %d: %w", n.index, err)
	}
	return nil
}

// Image keeps a copy of everything that the node has stored, in place of the
// one before. The process must not run.
func (n *Node) Image() error {
	err := os.RemoveAll(n.imageDir())
	if err == nil {
		err = os.CopyFS(n.imageDir(), os.DirFS(n.dataDir()))
	}
	if err != nil {
		return fmt.Errorf("copy the disk of node %d: %w", n.index, err)
	}
	return nil
}

// Restore puts the copy in the place of what the node has stored. The process
// must not run.
func (n *Node) Restore() error {
	err := os.RemoveAll(n.dataDir())
	if err == nil {
		err = os.Rename(n.imageDir(), n.dataDir())
	}
	if err != nil {
		return fmt.Errorf("restore the disk of node %d: %w", n.index, err)
	}
	return nil
}

// Verify reads the node's log folders with the binary's own tool. The process
// must not run.
func (n *Node) Verify(ctx context.Context) error {
	folders, err := n.LogFolders()
	for _, folder := range folders {
		out, failed := exec.CommandContext(ctx, n.cluster.options.Binary, "log", "verify", folder).CombinedOutput()
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("verify the log of node %d: %w: %s", n.index, failed, out))
		}
	}
	return err
}
