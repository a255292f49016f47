package baseline

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

const logTailBytes = 2 << 10

// process is a child process and all that it starts: a process group.
type process struct {
	cmd   *exec.Cmd
	log   *os.File
	ended chan struct{} // closed after the process has been waited for
}

// startProcess runs a command in directory dir; its output goes to a file
// there.
func startProcess(dir, logName string, argv ...string) (*process, error) {
	log, err := os.Create(filepath.Join(dir, logName))
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	p := &process{cmd: exec.Command(argv[0], argv[1:]...), log: log, ended: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		_ = log.Close()
		return nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is told by failure
		_ = log.Close()
		close(p.ended)
	}()
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// failure describes a process that has ended by itself.
func (p *process) failure() error {
	output, _ := os.ReadFile(p.log.Name())
	tail := bytes.TrimSpace(output[max(0, len(output)-logTailBytes):])
	return fmt.Errorf("%s ended by itself (%s); the end of its output:\n%s", p.cmd.Path, p.cmd.ProcessState, tail)
}

func (p *process) signal(s unix.Signal) error {
	err := unix.Kill(-p.pid(), s)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("signal process group %d: %w", p.pid(), err)
	}
	return nil
}

// end kills the group and waits for the process. Nobody needs its data any
// more, so it is not asked to close it first.
func (p *process) end() error {
	err := p.signal(unix.SIGKILL)
	<-p.ended
	return err
}
