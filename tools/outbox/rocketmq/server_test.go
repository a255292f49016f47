package rocketmq

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/apogeemq/apogee/replication/transport/porttest"
)

// patience is how long tests wait for what must happen.
const patience = 60 * time.Second

// builtIn is the folder of the program under test, "" while there is none.
var builtIn string

// binary builds the program under test, once.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "apogee-outbox-")
	if err != nil {
		return "", err
	}
	builtIn = dir
	path := filepath.Join(dir, "apogee")
	out, err := exec.Command("go", "build", "-o", path, "github.com/apogeemq/apogee/tools/apogee").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the binary: %w\n%s", err, out)
	}
	return path, nil
})

func TestMain(m *testing.M) {
	code := m.Run()
	if builtIn != "" {
		_ = os.RemoveAll(builtIn)
	}
	os.Exit(code)
}

// server is a broker with its nameserver in a process of its own.
type server struct {
	t          *testing.T
	dir        string
	nameserver string
	arguments  []string
	process    *exec.Cmd
	journal    *journal
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{t: t, dir: t.TempDir()}
	first := porttest.Claim(t, portsEach)
	s.nameserver = net.JoinHostPort("127.0.0.1", strconv.Itoa(first))
	for _, setting := range []string{
		"storePathRootDir=" + s.dir, "namesrvListenPort=" + strconv.Itoa(first),
		"listenPort=" + strconv.Itoa(first+3), "adminListenPort=" + strconv.Itoa(first+2),
		"mappedFileSizeCommitLog=33554432", "cleanFileForciblyEnable=false",
	} {
		s.arguments = append(s.arguments, "--set", setting)
	}
	t.Cleanup(func() {
		if s.process != nil {
			s.kill()
		}
	})
	return s
}

// start returns when the server is ready.
func (s *server) start() {
	s.t.Helper()
	path, err := binary()
	if err != nil {
		s.t.Fatal(err)
	}
	s.journal = &journal{}
	s.process = exec.Command(path, append([]string{"server"}, s.arguments...)...)
	s.process.Stderr = s.journal
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "the server is ready", func() error {
		if text := s.journal.String(); !bytes.Contains([]byte(text), []byte("msg=ready")) {
			return fmt.Errorf("its log:\n%s", text)
		}
		return nil
	})
}

// kill ends the process as kill -9 does.
func (s *server) kill() {
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
	s.process = nil
}

type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write makes the journal the standard error of a process.
func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// portsEach is how many ports in a row a server takes: nameserver, a second one
// of the broker's, admin, broker.
const portsEach = 4

// eventually polls until there is no error.
func eventually(t *testing.T, what string, probe func() error) {
	t.Helper()
	deadline, tick := time.NewTimer(patience), time.NewTicker(10*time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for {
		err := probe()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("%s: %v", what, err)
		}
	}
}
