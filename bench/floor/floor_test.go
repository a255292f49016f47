package floor

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/apogeemq/apogee/bench/frame"
	"github.com/apogeemq/apogee/bench/load"
)

// start runs a floor server until the test ends and returns its address.
func start(t *testing.T, o Options) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	go func() { ended <- Serve(ctx, l, o, func() { close(ready) }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("floor ended with %v", err)
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		ended <- nil
		t.Fatalf("floor did not start: %v", err)
	}
	return l.Addr().String()
}

func sendTo(t *testing.T, address string, s frame.Serialization, messages int64) {
	t.Helper()
	r, err := load.Send(t.Context(), load.SendOptions{
		Target:   load.Target{Address: address, Connections: 4, Topic: "T", Queues: 8, Serialization: s, Duration: time.Hour},
		InFlight: 64, Size: 1024, Batch: 1, Topics: 1, Messages: messages, Producers: "P",
	})
	if err != nil || r.Messages != messages || r.Errors != 0 {
		t.Fatalf("%+v, %v", r, err)
	}
}

func TestEverySendIsAnswered(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{Echo, Write, Sync} {
		for _, answers := range []Answers{Each, Gathered} {
			t.Run(string(mode)+"/"+string(answers), func(t *testing.T) {
				t.Parallel()
				address := start(t, Options{Answers: answers, Mode: mode, Dir: t.TempDir(), FileBytes: batchBytes})
				sendTo(t, address, frame.JSON, 20_000) // more than the file holds
				sendTo(t, address, frame.Binary, 1_000)
			})
		}
	}
}

func TestWhatIsAnsweredIsInTheFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	address := start(t, Options{Answers: Gathered, Mode: Sync, Dir: dir, FileBytes: batchBytes})
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	head := frame.Encode(frame.JSON, frame.Request{Code: 310}, len("a body that is looked for"))
	whole := append(head.Bytes, "a body that is looked for"...)
	if _, err := conn.Write(whole); err != nil {
		t.Fatal(err)
	}
	r := frame.NewReader(conn, 1024)
	if err := r.Fill(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(dir, fileName))
	if err != nil || !bytes.HasPrefix(file, whole) {
		t.Fatalf("file begins with %q, %v", file[:min(64, len(file))], err)
	}
}

func TestReplyIsWhatClientsNeed(t *testing.T) {
	t.Parallel()
	for _, s := range []frame.Serialization{frame.JSON, frame.Binary} {
		b := appendReply([]byte("before"), s, -12345)[len("before"):]
		f, size, complete, err := frame.Split(b)
		if err != nil || !complete || size != len(b) {
			t.Fatalf("%s: %v, size %d of %d", s, err, size, len(b))
		}
		code, opaque, err := f.CodeAndOpaque()
		if err != nil || code != 0 || opaque != -12345 {
			t.Errorf("%s: code %d opaque %d, %v", s, code, opaque, err)
		}
		for _, key := range []string{"msgId", "queueId", "queueOffset"} {
			if v, ok := f.Field(key); !ok || len(v) == 0 {
				t.Errorf("%s: %s is missing", s, key)
			}
		}
	}
}

func TestAConnectionThatSendsNoFramesIsClosed(t *testing.T) {
	t.Parallel()
	for _, mode := range []Mode{Echo, Sync} {
		address := start(t, Options{Answers: Gathered, Mode: mode, Dir: t.TempDir(), FileBytes: batchBytes})
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write([]byte("GET / HTTP/1.1\r\n\r\n")); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("%s: read %d bytes, %v", mode, n, err)
		}
		sendTo(t, address, frame.JSON, 10)
	}
}

func TestBadOptionsAreRefused(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{Mode: "fast", Answers: Each}, {Mode: Echo, Answers: "some"},
		{Mode: Sync, Answers: Each, FileBytes: batchBytes}, {Mode: Write, Answers: Each, Dir: "x", FileBytes: 1000}} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if err := Serve(t.Context(), l, o, func() {}); err == nil {
			t.Errorf("%+v: accepted", o)
		}
	}
}

func TestReplyingAllocatesNothing(t *testing.T) {
	out := make([]byte, 0, 1<<10)
	for _, s := range []frame.Serialization{frame.JSON, frame.Binary} {
		if n := testing.AllocsPerRun(100, func() { out = appendReply(out[:0], s, 1_000_000_000) }); n != 0 {
			t.Errorf("%s: %v allocations per reply", s, n)
		}
	}
}

// writeCounter counts the writes to a connection.
type writeCounter struct {
	net.Conn
	writes, bytes int
}

func (w *writeCounter) Write(b []byte) (int, error) {
	w.writes++
	w.bytes += len(b)
	return len(b), nil
}

func TestAnswersLeaveEachByItselfOrGathered(t *testing.T) {
	t.Parallel()
	bytes := map[Answers]int{}
	for answers, want := range map[Answers]int{Each: 3, Gathered: 1} {
		out := &writeCounter{}
		c := &connection{conn: out, answers: answers}
		b := &batch{waiting: []waiter{{conn: c, opaque: 1}, {conn: c, opaque: 2}, {conn: c, opaque: 3}}}
		if b.answer(); out.writes != want {
			t.Errorf("%s: %d writes for three answers, want %d", answers, out.writes, want)
		}
		bytes[answers] = out.bytes
	}
	if bytes[Each] != bytes[Gathered] {
		t.Errorf("the answers have %v bytes", bytes)
	}
}
