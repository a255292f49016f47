//go:build linux || darwin

package remoting

import (
	"io"
	"syscall"

	"golang.org/x/sys/unix"
)

// attemptWrite writes the output vector as far as the socket takes it now.
// syscall.RawConn calls it with the file descriptor; it returns true always,
// so that RawConn never waits.
func (c *Conn) attemptWrite(fd uintptr) bool {
	var n int
	var err error
	for {
		if len(c.out.vector[1]) == 0 {
			n, err = syscall.Write(int(fd), c.out.vector[0])
		} else {
			n, err = unix.Writev(int(fd), c.out.vector[:])
		}
		if err != syscall.EINTR {
			break
		}
	}
	if err == syscall.EAGAIN {
		n, err = 0, nil
	}
	c.out.written, c.out.failure = max(n, 0), err
	return true
}

// attemptRead reads what has arrived. When nothing has, it gives the input
// buffer back and returns false: RawConn calls again when there is something.
func (c *Conn) attemptRead(fd uintptr) bool {
	room, err := c.in.makeRoom()
	if err != nil {
		c.readFailure = err
		return true
	}
	var n int
	for {
		n, err = syscall.Read(int(fd), room)
		if err != syscall.EINTR {
			break
		}
	}
	switch {
	case err == syscall.EAGAIN:
		c.in.park()
		return false
	case err != nil:
		c.readFailure = err
	case n == 0:
		c.readFailure = io.EOF
	default:
		c.in.filled(n)
	}
	return true
}
