package process

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

// Process is a child process and all that it starts: a process group.
type Process struct {
	cmd   *exec.Cmd
	log   *os.File
	ended chan struct{} // closed after the process has been waited for
}

// Start runs a command in directory dir; its output is added to a file there.
// Environment variables of the form NAME=value are added to this process's.
func Start(dir, logName string, environment []string, argv ...string) (*Process, error) {
	log, err := os.OpenFile(filepath.Join(dir, logName), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	p := &Process{cmd: exec.Command(argv[0], argv[1:]...), log: log, ended: make(chan struct{})}
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, log, log
	p.cmd.Env = append(os.Environ(), environment...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		_ = log.Close()
		return nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	go func() {
		_ = p.cmd.Wait() // how it ended is told by Failure
		_ = log.Close()
		close(p.ended)
	}()
	return p, nil
}

// PID is the id of the process, and of its group.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended is closed when the process has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// ExitCode is what the process ended with, -1 when a signal ended it. It must
// have ended.
func (p *Process) ExitCode() int { return p.cmd.ProcessState.ExitCode() }

// Failure describes a process that has ended by itself.
func (p *Process) Failure() error {
	output, _ := os.ReadFile(p.log.Name())
	tail := bytes.TrimSpace(output[max(0, len(output)-logTailBytes):])
	return fmt.Errorf("%s ended by itself (%s); the end of its output:\n%s", p.cmd.Path, p.cmd.ProcessState, tail)
}

// Signal sends a signal to the group; one that is gone is no error.
func (p *Process) Signal(s unix.Signal) error {
	select {
	case <-p.ended: // its id may be another's by now
		return nil
	default:
	}
	err := unix.Kill(-p.PID(), s)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("signal process group %d: %w", p.PID(), err)
	}
	return nil
}

// Kill kills the group and waits for the process.
func (p *Process) Kill() error {
	err := p.Signal(unix.SIGKILL)
	<-p.ended
	return err
}
