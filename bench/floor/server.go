package floor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/apogeemq/apogee/bench/frame"
)

// Mode says what happens before an answer.
type Mode string

// The three floors.
const (
	Echo  Mode = "echo"
	Write Mode = "write"
	Sync  Mode = "sync"
)

// Answers says how the answers of a connection leave.
type Answers string

// The two ways.
const (
	Each     Answers = "each"     // one write per answer
	Gathered Answers = "gathered" // one write for all that are ready
)

// Options of a floor server.
type Options struct {
	Mode      Mode
	Answers   Answers
	Dir       string // where the file goes; not used by Echo
	FileBytes int64  // a multiple of 8 MiB
}

func (o *Options) check() error {
	switch {
	case o.Mode != Echo && o.Mode != Write && o.Mode != Sync:
		return fmt.Errorf("run floor: mode %q: allowed are %s, %s and %s", o.Mode, Echo, Write, Sync)
	case o.Answers != Each && o.Answers != Gathered:
		return fmt.Errorf("run floor: answers %q: allowed are %s and %s", o.Answers, Each, Gathered)
	case o.Mode != Echo && o.Dir == "":
		return fmt.Errorf("run floor: mode %s needs a directory on the disk to measure", o.Mode)
	case o.Mode != Echo && (o.FileBytes < batchBytes || o.FileBytes%batchBytes != 0):
		return fmt.Errorf("run floor: file of %d bytes: a multiple of %d is needed", o.FileBytes, batchBytes)
	}
	return nil
}

// readBytes lets one read take what a connection has in flight.
const readBytes = 256 << 10

// server is the state that connections share.
type server struct {
	journal *journal // nil in mode Echo
	mu      sync.Mutex
	conns   map[net.Conn]struct{}
}

// Serve answers requests on l until ctx is canceled or the disk fails; it
// closes l. It calls ready once it accepts connections.
func Serve(ctx context.Context, l net.Listener, o Options, ready func()) (err error) {
	if err := o.check(); err != nil {
		return errors.Join(err, l.Close())
	}
	s := &server{conns: map[net.Conn]struct{}{}}
	group, ctx := errgroup.WithContext(ctx)
	if o.Mode != Echo {
		if s.journal, err = openJournal(o.Dir, o.Mode, o.FileBytes); err != nil {
			return errors.Join(err, l.Close())
		}
		defer func() { err = errors.Join(err, s.journal.release()) }()
		group.Go(s.journal.run)
	}
	group.Go(func() error { return s.accept(ctx, l, &o) })
	group.Go(func() error {
		<-ctx.Done()
		s.shut(l)
		return nil
	})
	ready()
	return group.Wait()
}

func (s *server) shut(l net.Listener) {
	_ = l.Close()
	if s.journal != nil {
		s.journal.close()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for conn := range s.conns {
		_ = conn.Close()
	}
}

// accept serves each connection in a goroutine and returns when all of them
// have ended.
func (s *server) accept(ctx context.Context, l net.Listener, o *Options) error {
	var running sync.WaitGroup
	defer running.Wait()
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			if err == nil {
				_ = conn.Close()
			}
			return nil
		}
		if err != nil {
			return fmt.Errorf("accept connection: %w", err)
		}
		s.mu.Lock()
		s.conns[conn] = struct{}{}
		s.mu.Unlock()
		running.Go(func() {
			c := &connection{conn: conn, reader: frame.NewReader(conn, readBytes), answers: o.Answers}
			c.serve(s.journal)
			s.mu.Lock()
			delete(s.conns, conn)
			s.mu.Unlock()
		})
	}
}

// connection is one client. In mode Echo its goroutine owns out, else the
// journal's does.
type connection struct {
	conn    net.Conn
	reader  *frame.Reader
	answers Answers
	out     []byte
}

// serve answers until the client goes or sends what is no frame.
func (c *connection) serve(j *journal) {
	defer c.conn.Close()
	for {
		var err error
		if j == nil {
			err = c.echo()
		} else {
			err = c.store(j)
		}
		if err != nil || c.reader.Fill() != nil {
			return
		}
	}
}

// echo answers all frames that are there.
func (c *connection) echo() error {
	for {
		f, ok, err := c.reader.Next()
		if err != nil {
			return err
		}
		if !ok {
			c.flush()
			return nil
		}
		_, opaque, err := f.CodeAndOpaque()
		if err != nil {
			return err
		}
		c.answer(f.Serialization, opaque)
	}
}

// answer adds an answer, which leaves at once where each has a write.
func (c *connection) answer(s frame.Serialization, opaque int32) {
	c.out = appendReply(c.out, s, opaque)
	if c.answers == Each {
		c.flush()
	}
}

// store puts all frames that are there into the journal's batch.
func (c *connection) store(j *journal) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	for {
		f, ok, err := c.reader.Next()
		if err != nil {
			return err
		}
		if !ok {
			j.filled.Signal()
			return nil
		}
		_, opaque, err := f.CodeAndOpaque()
		if err != nil {
			return err
		}
		whole := f.Whole()
		if len(whole) > batchBytes {
			return fmt.Errorf("store frame of %d bytes: at most %d", len(whole), batchBytes)
		}
		j.addLocked(whole, waiter{conn: c, opaque: opaque, serialization: f.Serialization})
	}
}

// flush writes the answers that wait. A client that has gone is noticed by
// its reader.
func (c *connection) flush() {
	if len(c.out) == 0 {
		return
	}
	_, _ = c.conn.Write(c.out)
	c.out = c.out[:0]
}
