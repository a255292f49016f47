package remoting

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const testPatience = 20 * time.Second

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// testHandler calls handle and counts what has closed.
type testHandler struct {
	handle func(rt ReplyTo, cmd *Command)
	closed chan *Conn
}

func newTestHandler(handle func(rt ReplyTo, cmd *Command)) *testHandler {
	return &testHandler{handle: handle, closed: make(chan *Conn, 1024)}
}

func (h *testHandler) Handle(rt ReplyTo, cmd *Command) { h.handle(rt, cmd) }
func (h *testHandler) Closed(c *Conn)                  { h.closed <- c }

// echo answers with the request's code, fields and body.
func echo(rt ReplyTo, cmd *Command) {
	r := Reply{Code: cmd.Code, Remark: string(cmd.Remark), Body: cmd.Body}
	for _, f := range cmd.Fields {
		r.SetBytes(string(f.Key), f.Value)
	}
	rt.Send(&r)
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// startServer serves h until the test ends.
func startServer(t testing.TB, h Handler, o Options) *Server {
	t.Helper()
	o.Logger = quiet()
	s := Serve(listen(t), h, o)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = s.Shutdown(ctx)
	})
	return s
}

// rawPeer is a client made of nothing but a socket.
type rawPeer struct {
	net.Conn
	t testing.TB
	r *bufio.Reader
}

func dialRaw(t testing.TB, s *Server) *rawPeer {
	t.Helper()
	c, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(testPatience))
	return &rawPeer{Conn: c, t: t, r: bufio.NewReaderSize(c, 64<<10)}
}

func (p *rawPeer) send(b []byte) {
	p.t.Helper()
	if _, err := p.Write(b); err != nil {
		p.t.Fatalf("write: %v", err)
	}
}

// receive reads one frame.
func (p *rawPeer) receive() *Command {
	p.t.Helper()
	cmd, err := readCommand(p.r)
	if err != nil {
		p.t.Fatalf("read a frame: %v", err)
	}
	return cmd
}

// expectEnd fails unless the peer closes without sending another byte.
func (p *rawPeer) expectEnd() {
	p.t.Helper()
	if b, err := p.r.ReadByte(); err == nil {
		p.t.Fatalf("got byte %02x, expected the end of the connection", b)
	} else if os.IsTimeout(err) {
		p.t.Fatalf("the connection is still open: %v", err)
	}
}

func readCommand(r io.Reader) (*Command, error) {
	var head [prefixBytes]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	p, err := parsePrefix(head[:], FrameBytesMax)
	if err != nil {
		return nil, err
	}
	frame := make([]byte, p.frameBytes)
	copy(frame, head[:])
	if _, err := io.ReadFull(r, frame[prefixBytes:]); err != nil {
		return nil, err
	}
	cmd := new(Command)
	return cmd, cmd.decode(p, frame)
}

// decodeFrame decodes a whole frame.
func decodeFrame(t testing.TB, frame []byte) *Command {
	t.Helper()
	p, err := parsePrefix(frame, FrameBytesMax)
	if err != nil {
		t.Fatal(err)
	}
	if p.frameBytes != len(frame) {
		t.Fatalf("the prefix says %d bytes, the frame has %d", p.frameBytes, len(frame))
	}
	cmd := new(Command)
	if err := cmd.decode(p, frame); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// requestFrame is the whole frame of a request.
func requestFrame(t testing.TB, r *Request, opaque, flag int32, s Serialization) []byte {
	t.Helper()
	b, err := r.appendHeader(nil, opaque, flag, s)
	if err != nil {
		t.Fatal(err)
	}
	return append(b, r.Body...)
}

func jsonFrame(header, body string) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(4+len(header)+len(body)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(header)))
	return append(append(b, header...), body...)
}

// goldenFrame reads testdata/frames/name: hex, white space and comment lines.
func goldenFrame(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "frames", name))
	if err != nil {
		t.Fatal(err)
	}
	var digits strings.Builder
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") {
			digits.WriteString(strings.Join(strings.Fields(line), ""))
		}
	}
	b, err := hex.DecodeString(digits.String())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), testPatience)
	t.Cleanup(cancel)
	return ctx
}

func receiveFrom[T any](t testing.TB, from <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(testPatience):
		t.Fatalf("waited in vain: %s", what)
		panic("unreachable")
	}
}

// await looks again and again until condition holds.
func await(t testing.TB, what string, condition func() bool) {
	t.Helper()
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	late := time.After(testPatience)
	for !condition() {
		select {
		case <-ticker.C:
		case <-late:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

// pipeListener hands out one end of in-memory connections.
type pipeListener struct {
	ends chan net.Conn
	done chan struct{}
	once sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{ends: make(chan net.Conn), done: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.ends:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (l *pipeListener) dial() net.Conn {
	ours, theirs := net.Pipe()
	l.ends <- theirs
	return ours
}
