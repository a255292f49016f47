package agent

import (
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/apogeemq/apogee/server/remoting"
)

// replayed is a broker that answers each frame with the same bytes but for the
// number, so that it allocates nothing itself.
type replayed struct{ reply remoting.Reply }

func (r *replayed) Handle(rt remoting.ReplyTo, _ *remoting.Command) { rt.Send(&r.reply) }
func (r *replayed) Closed(*remoting.Conn)                           {}

// TestForwardingAMessageAllocatesNothing counts the allocations of the process,
// so it runs alone.
func TestForwardingAMessageAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	c := startCluster(t)
	c.down()
	for address, h := range map[string]remoting.Handler{c.names: handler(c.name), c.broker: &replayed{}} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		c.servers = append(c.servers, remoting.Serve(l, h, remoting.Options{Logger: quiet()}))
	}
	a := startAgent(t, testConfig(t, c))
	defer stopAgent(t, a)
	door := routeOf(t, a, "T").Brokers[0].Master()
	socket, err := net.Dial("tcp", door)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	const messages, together = 5000, 50
	frame := frameOf(t, message(0, "body"))
	burst := make([]byte, 0, together*len(frame))
	for range together {
		burst = append(burst, frame...)
	}
	answer := make([]byte, 1<<10)
	n := answered(t, socket, frame, answer)
	trip := func() {
		if _, err := socket.Write(burst); err != nil {
			t.Fatal(err)
		}
		for rest := together * n; rest > 0; {
			got, err := socket.Read(answer[:min(len(answer), rest)])
			if err != nil {
				t.Fatal(err)
			}
			rest -= got
		}
	}
	for range 50 {
		trip()
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range messages / together {
		trip()
	}
	runtime.ReadMemStats(&after)
	// What runs by the clock beside it allocates a little.
	if each := float64(after.Mallocs-before.Mallocs) / messages; each > 0.1 {
		t.Errorf("a forwarded message makes %.2f allocations", each)
	}
}

// frameOf is a request as it stands on the wire.
func frameOf(t *testing.T, r *remoting.Request) []byte {
	t.Helper()
	cmd := remoting.Command{Code: r.Code, Version: remoting.Version, Body: r.Body}
	for _, f := range r.Header {
		cmd.Fields = append(cmd.Fields, remoting.Field{Key: []byte(f.Key), Value: []byte(f.Value)})
	}
	frame, err := cmd.AppendFrame(nil)
	if err != nil {
		t.Fatal(err)
	}
	return frame
}

// answered sends one request and returns how many bytes its answer has.
func answered(t *testing.T, socket net.Conn, frame, answer []byte) int {
	t.Helper()
	if err := socket.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := socket.Write(frame); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(socket, answer[:4]); err != nil {
		t.Fatal(err)
	}
	rest := int(answer[2])<<8 | int(answer[3])
	if _, err := io.ReadFull(socket, answer[4:4+rest]); err != nil {
		t.Fatal(err)
	}
	return 4 + rest
}
