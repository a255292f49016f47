package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/apogeemq/apogee/bench/chaos/link"
	"github.com/apogeemq/apogee/bench/process"
)

// Node is one process, most of the time, with its folder and its links.
type Node struct {
	cluster *Cluster
	index   int
	ports   ports
	clients *link.Link // to the broker
	names   *link.Link // to its nameserver

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
	controlTime  = 5 * time.Second
	terminateMax = 40 * time.Second
)

// Index is the node's number.
func (n *Node) Index() int { return n.index }

// Medium is what the last process of the node was started on.
func (n *Node) Medium() Medium { return n.medium }

// Clients is the link between clients and the broker.
func (n *Node) Clients() *link.Link { return n.clients }

// Names is the link between clients and the nameserver.
func (n *Node) Names() *link.Link { return n.names }

// Direct is the broker's own address, past the link.
func (n *Node) Direct() string { return fmt.Sprintf("127.0.0.1:%d", n.ports.broker()) }

// LogFolder is where the node's log is.
func (n *Node) LogFolder() string { return filepath.Join(n.dataDir(), "log") }

func (n *Node) dir() string     { return n.cluster.options.Dir }
func (n *Node) dataDir() string { return filepath.Join(n.dir(), fmt.Sprintf("node%d", n.index)) }
func (n *Node) logName() string { return fmt.Sprintf("node%d.log", n.index) }
func (n *Node) logPath() string { return filepath.Join(n.dir(), n.logName()) }
func (n *Node) host() string    { return fmt.Sprintf("127.0.1.%d", n.index+1) }

// openLinks finds ports and opens the links to them.
func (n *Node) openLinks() error {
	const tries = 20
	var err error
	for range tries {
		if n.ports, err = freePorts(n.cluster.options.FirstPort, n.index, n.host()); err != nil {
			return err
		}
		n.clients, err = link.Listen(fmt.Sprintf("%s:%d", n.host(), n.ports.broker()), n.Direct())
		if err == nil {
			n.names, err = link.Listen(fmt.Sprintf("%s:%d", n.host(), n.ports.nameserver()), fmt.Sprintf("127.0.0.1:%d", n.ports.nameserver()))
		}
		if err == nil {
			return nil
		}
	}
	return err
}

// Launch starts a process and returns at once.
func (n *Node) Launch(m Medium, seed uint64) error {
	arguments := append([]string{n.cluster.options.Binary}, n.cluster.arguments(n.index)...)
	p, err := process.Start(n.dir(), n.logName(), m.environment(seed), arguments...)
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
		if n.ask(ctx, http.MethodGet, "readyz", "") == nil {
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

// BreakDisk replaces the rules of the process's disk; see package faultdisk.
// What hung because of older rules goes on. No rules heal the disk.
func (n *Node) BreakDisk(ctx context.Context, rules string) error {
	return n.ask(ctx, http.MethodPut, "debug/faults/disk", rules)
}

// ShiftClock sets the process's clock so much ahead of the machine's.
func (n *Node) ShiftClock(ctx context.Context, by time.Duration) error {
	return n.ask(ctx, http.MethodPut, "debug/faults/clock", by.String())
}

var httpClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// ask sends a request to the operators' port.
func (n *Node) ask(ctx context.Context, method, path, body string) error {
	ctx, cancel := context.WithTimeout(ctx, controlTime)
	defer cancel()
	url := fmt.Sprintf("http://127.0.0.1:%d/%s", n.ports.admin(), path)
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask node %d: %w", n.index, err)
	}
	reply, err := httpClient.Do(request)
	if err != nil {
		return fmt.Errorf("ask node %d: %w", n.index, err)
	}
	defer reply.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(reply.Body, 1<<10))
	if reply.StatusCode != http.StatusOK {
		return fmt.Errorf("ask node %d for /%s: %s: %s", n.index, path, reply.Status, strings.TrimSpace(string(text)))
	}
	return nil
}

// Verify reads the node's log folder with the binary's own tool. The process
// must not run.
func (n *Node) Verify(ctx context.Context) error {
	out, err := exec.CommandContext(ctx, n.cluster.options.Binary, "log", "verify", n.LogFolder()).CombinedOutput()
	if err != nil {
		return fmt.Errorf("verify the log of node %d: %w", n.index, errors.Join(err, errors.New(string(out))))
	}
	return nil
}
