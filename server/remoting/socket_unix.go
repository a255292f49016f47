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
	c.fd = int(fd)
	var n int
	if c.secure != nil {
		n, err = c.secure.open(room)
	} else {
		n, err = c.readSocket(room)
	}
	switch {
	case n > 0:
		c.in.filled(n)
	case err == errNoBytes:
		c.in.park()
		return false
	default:
		c.readFailure = err
	}
	return true
}

// readSocket reads what has arrived, errNoBytes if nothing has.
func (c *Conn) readSocket(room []byte) (int, error) {
	for {
		n, err := syscall.Read(c.fd, room)
		switch {
		case n > 0:
			c.bytesIn.Add(uint64(n))
			return n, nil
		case err == nil:
			return 0, io.EOF
		case err == syscall.EAGAIN:
			return 0, errNoBytes
		case err != syscall.EINTR:
			return 0, err
		}
	}
}
