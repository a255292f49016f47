package load

import (
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/apogeemq/apogee/bench/frame"
)

// stream is one connection with requests in flight. A request's opaque is
// frame.OpaqueBase plus its slot, so a reply leads to its slot without a map.
type stream struct {
	conn      net.Conn
	reader    *frame.Reader
	window    *window
	signature signature
	out       []byte          // requests not written yet
	sent      []time.Duration // per slot: when its request was written; -1 when idle
	flying    int
	tally     *tally
}

func newStream(conn net.Conn, w *window, by signature, slots, readBytes int) stream {
	s := stream{
		conn: conn, reader: frame.NewReader(conn, readBytes), window: w, signature: by,
		sent: make([]time.Duration, slots), tally: newTally(),
	}
	for i := range s.sent {
		s.sent[i] = idle
	}
	return s
}

const idle = time.Duration(-1)

// depart marks a slot's request as written at now.
func (s *stream) depart(slot int, now time.Duration) {
	s.sent[slot] = now
	s.flying++
}

// arrive returns the slot of a reply and when its request went.
func (s *stream) arrive(opaque int32) (slot int, sent time.Duration, err error) {
	slot = int(opaque) - frame.OpaqueBase
	if slot < 0 || slot >= len(s.sent) || s.sent[slot] == idle {
		return 0, 0, fmt.Errorf("match reply: opaque %d belongs to no request in flight", opaque)
	}
	sent, s.sent[slot] = s.sent[slot], idle
	s.flying--
	return slot, sent, nil
}

// flush writes what is waiting, in one write.
func (s *stream) flush() error {
	if len(s.out) == 0 {
		return nil
	}
	_, err := s.conn.Write(s.out)
	s.out = s.out[:0]
	if err != nil {
		return fmt.Errorf("write requests: %w", err)
	}
	return nil
}

// drive is the loop of a connection: wait for replies, handle all that are
// there, write what they caused. It ends when nothing is in flight.
func (s *stream) drive(handle func(f *frame.Frame, now time.Duration) error) error {
	for s.flying > 0 {
		if err := s.flush(); err != nil {
			return err
		}
		if err := s.reader.Fill(); err != nil {
			return fmt.Errorf("wait for %d replies: %w", s.flying, err)
		}
		now := s.window.now()
		for {
			f, ok, err := s.reader.Next()
			if err != nil {
				return err
			}
			if !ok {
				break
			}
			if err := handle(&f, now); err != nil {
				return err
			}
		}
	}
	return nil
}

// counts returns what the connection has measured.
func (s *stream) counts() *tally { return s.tally }

func decimal(n int) string { return strconv.Itoa(n) }
