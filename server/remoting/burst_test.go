package remoting

import (
	"bytes"
	"io"
	"net"
	"testing"
	"time"
)

// relay is a server that forwards all requests to another one, and passes the
// answers back.
func relay(t *testing.T) (front *Server, to *Client) {
	t.Helper()
	back := startServer(t, newTestHandler(echo), Options{})
	to, err := Dial(t.Context(), back.Addr().String(), ClientOptions{Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(to.Close)
	front = startServer(t, newTestHandler(func(rt ReplyTo, cmd *Command) {
		err := rt.Conn.Burst().Forward(to.Conn(), cmd, testPatience, func(response *Command, err error) {
			if err != nil {
				t.Error(err)
				return
			}
			to.Conn().Burst().Pass(rt, response)
		})
		if err != nil {
			t.Error(err)
		}
	}), Options{})
	return front, to
}

func TestWhatArrivesTogetherIsSentOnTogether(t *testing.T) {
	t.Parallel()
	const requests = 100
	front, to := relay(t)
	socket, err := net.Dial("tcp", front.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	var wire []byte
	for i := range requests {
		r := &Request{Code: 1}
		r.Set("number", string(rune('A'+i%26)))
		wire = append(wire, requestFrame(t, r, int32(i), 0, JSON)...)
	}
	if _, err := socket.Write(wire); err != nil {
		t.Fatal(err)
	}
	if err := socket.SetReadDeadline(time.Now().Add(testPatience)); err != nil {
		t.Fatal(err)
	}
	got := bytes.Buffer{}
	for range requests {
		p := make([]byte, 8)
		if _, err := io.ReadFull(socket, p); err != nil {
			t.Fatal(err)
		}
		rest := int(p[0])<<24 | int(p[1])<<16 | int(p[2])<<8 | int(p[3]) - 4
		if _, err := io.CopyN(&got, socket, int64(rest)); err != nil {
			t.Fatal(err)
		}
	}
	// The reader's buffer grows, so that the first reads bring few.
	if writes := to.Conn().writes.Load(); writes == 0 || writes > requests/4 {
		t.Errorf("%d requests that arrived together were sent on in %d writes", requests, writes)
	}
}
