package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/apogeemq/apogee/replication/transport/porttest"
)

// server is a broker with its nameserver: a folder, ports and, most of the
// time, a process.
type server struct {
	t         *testing.T
	dir       string
	ports     ports
	settings  []string
	variables []string // of the process's environment, besides ours: NAME=value
	process   *process // nil while there is none
}

// startServer starts a server with settings of the form key=value.
func startServer(t *testing.T, settings ...string) *server {
	t.Helper()
	s := &server{t: t, dir: t.TempDir(), settings: settings}
	t.Cleanup(s.cleanUp)
	for try := 0; ; try++ {
		s.ports = freePorts(t)
		s.launch()
		err := s.process.journal.wait("msg=ready")
		if err == nil {
			return s
		}
		const portTaken, tries = "choose another port", 5
		if try == tries || !strings.Contains(s.process.journal.String(), portTaken) {
			t.Fatalf("start a server: %v\n%s", err, s.process.journal)
		}
	}
}

// launch starts the process and returns at once.
func (s *server) launch() {
	s.t.Helper()
	arguments := []string{"server"}
	for _, setting := range append([]string{
		"storePathRootDir=" + s.dir,
		"listenPort=" + strconv.Itoa(s.ports.broker()),
		"namesrvListenPort=" + strconv.Itoa(s.ports.nameserver()),
		"adminListenPort=" + strconv.Itoa(s.ports.admin()),
		"mappedFileSizeCommitLog=33554432",
		"cleanFileForciblyEnable=false", // the disk of a machine that runs tests may be nearly full
	}, s.settings...) {
		arguments = append(arguments, "--set", setting)
	}
	p := &process{command: exec.Command(apogee, arguments...), journal: newJournal(), exited: make(chan struct{})}
	p.command.Env = append(os.Environ(), s.variables...)
	p.run(s.t)
	s.process = p
}

// restart starts the process again, in the same folder and on the same ports.
func (s *server) restart() {
	s.t.Helper()
	s.launch()
	if err := s.process.journal.wait("msg=ready"); err != nil {
		s.t.Fatalf("start the server again: %v\n%s", err, s.process.journal)
	}
}

// kill ends the process as kill -9 does.
func (s *server) kill() {
	s.t.Helper()
	if err := s.process.command.Process.Kill(); err != nil {
		s.t.Fatalf("kill the server: %v\n%s", err, s.process.journal)
	}
	await(s.t, "death of the process", s.process.exited)
}

// terminate sends SIGTERM and returns after what time the process ended, and
// an error unless it ended with 0.
func (s *server) terminate() (time.Duration, error) {
	s.t.Helper()
	began := time.Now()
	if err := s.process.command.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatalf("stop the server: %v\n%s", err, s.process.journal)
	}
	await(s.t, "end of the process after SIGTERM", s.process.exited)
	return time.Since(began), s.process.err
}

// signal sends the process a signal.
func (s *server) signal(which syscall.Signal) {
	s.t.Helper()
	if err := s.process.command.Process.Signal(which); err != nil {
		s.t.Fatalf("send the server %v: %v\n%s", which, err, s.process.journal)
	}
}

// pause stops the process, until it gets SIGCONT, and returns when it has
// stopped: the signal is only on its way until each thread has noticed it.
func (s *server) pause() {
	s.t.Helper()
	s.signal(syscall.SIGSTOP)
	pid := s.process.command.Process.Pid
	for {
		var status syscall.WaitStatus
		if got, err := syscall.Wait4(pid, &status, syscall.WUNTRACED, nil); err == syscall.EINTR {
			continue
		} else if err != nil || got != pid || !status.Stopped() {
			s.t.Fatalf("wait until the server has stopped: %d, status %v, %v", got, status, err)
		}
		return
	}
}

func (s *server) cleanUp() {
	if s.process == nil {
		return
	}
	if err := s.process.command.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Errorf("kill the server: %v", err)
	}
	<-s.process.exited
	if s.t.Failed() {
		s.t.Logf("the server's last log:\n%s", s.process.journal)
	}
}

func (s *server) brokerAddress() string     { return loopback(s.ports.broker()) }
func (s *server) nameserverAddress() string { return loopback(s.ports.nameserver()) }

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// process is one life of a server.
type process struct {
	command *exec.Cmd
	journal *journal
	exited  chan struct{}
	err     error // of Wait; valid once exited is closed
}

// run starts the process and returns at once.
func (p *process) run(t *testing.T) {
	t.Helper()
	p.command.Stderr = p.journal
	p.command.WaitDelay = patience
	if err := p.command.Start(); err != nil {
		t.Fatalf("start %s: %v", apogee, err)
	}
	go func() {
		p.err = p.command.Wait()
		p.journal.end()
		close(p.exited)
	}()
}

// journal keeps what a process logs.
type journal struct {
	mu      sync.Mutex
	text    bytes.Buffer
	changed chan struct{} // closed with the next change
	ended   bool
}

func newJournal() *journal { return &journal{changed: make(chan struct{})} }

// Write makes the journal the standard error of a process.
func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	close(j.changed)
	j.changed = make(chan struct{})
	return j.text.Write(b)
}

func (j *journal) end() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.ended = true
	close(j.changed)
	j.changed = make(chan struct{})
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// wait returns when the process has logged the words.
func (j *journal) wait(words string) error {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		j.mu.Lock()
		found, ended, changed := bytes.Contains(j.text.Bytes(), []byte(words)), j.ended, j.changed
		j.mu.Unlock()
		switch {
		case found:
			return nil
		case ended:
			return fmt.Errorf("the process ended before it logged %q", words)
		}
		select {
		case <-changed:
		case <-deadline.C:
			return fmt.Errorf("the process did not log %q within %v", words, patience)
		}
	}
}

// ports are four ports in a row, by the first.
type ports int

func (p ports) nameserver() int { return int(p) + 1 }
func (p ports) broker() int     { return int(p) + 2 } // which also opens the one 2 below
func (p ports) admin() int      { return int(p) + 3 }

// portsEach is how many ports in a row a server takes.
const portsEach = 4

// freePorts finds ports that nobody listens on.
func freePorts(t *testing.T) ports {
	t.Helper()
	return freeRun(t, 1)
}

// freeRun finds as many ports times portsEach in a row, and returns the first.
func freeRun(t *testing.T, length int) ports {
	t.Helper()
	return ports(porttest.Claim(t, length*portsEach))
}
