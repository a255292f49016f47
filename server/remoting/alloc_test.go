package remoting

import (
	"io"
	"net"
	"testing"
)

// sendV2 is SEND_MESSAGE_V2 as a Java 5 client sends it, 1 KiB of body.
func sendV2() *Request {
	r := &Request{Code: RequestSendMessageV2, Body: make([]byte, 1024)}
	for _, f := range [...]TextField{
		{"a", "producer-group"}, {"b", "TopicTest"}, {"c", "TBW102"}, {"d", "8"}, {"e", "3"}, {"f", "0"}, {"g", "1700000000000"},
		{"h", "0"}, {"i", "UNIQ_KEY\x017F0000010000123456789ABCDEF00000\x02WAIT\x01true\x02TAGS\x01TagA\x02"},
		{"j", "0"}, {"k", "false"}, {"m", "false"}, {"n", "broker-a"},
	} {
		r.Set(f.Key, f.Value)
	}
	return r
}

func fillSendReply(r *Reply) {
	r.Reset()
	r.SetText("msgId", "7F00000100002A9F0000000000001000")
	r.SetInt("queueId", 3)
	r.SetInt("queueOffset", 123456789)
	r.SetText("transactionId", "7F0000010000123456789ABCDEF00000")
	r.SetText("MSG_REGION", "DefaultRegion")
	r.SetText("TRACE_ON", "true")
}

func expectNoAllocations(t *testing.T, what string, f func()) {
	t.Helper()
	if raceEnabled {
		f()
		return
	}
	if n := testing.AllocsPerRun(1000, f); n != 0 {
		t.Errorf("%s: %v allocations, expected none", what, n)
	}
}

func TestDecodingASendDoesNotAllocate(t *testing.T) { // counts the allocations of the process
	for _, s := range []Serialization{JSON, Binary} {
		frame := requestFrame(t, sendV2(), 7, 0, s)
		wire := make([]byte, len(frame))
		var c Command
		expectNoAllocations(t, s.String(), func() {
			copy(wire, frame)
			p, err := parsePrefix(wire, FrameBytesMax)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.decode(p, wire); err != nil {
				t.Fatal(err)
			}
			queue, _ := c.Int("e")
			if topic, _ := c.Get("b"); string(topic) != "TopicTest" || queue != 3 || c.Bool("m") || len(c.Body) != 1024 {
				t.Fatal("decoded something else")
			}
		})
	}
}

func TestEncodingAReplyDoesNotAllocate(t *testing.T) { // as above
	for _, s := range []Serialization{JSON, Binary} {
		var r Reply
		var b []byte
		expectNoAllocations(t, s.String(), func() {
			fillSendReply(&r)
			b, _ = r.appendHeader(b[:0], 7, s)
		})
	}
}

// sendAndReply returns one round trip of a send over TCP with a handler that
// replies by way of reply, and makes no allocation itself.
func sendAndReply(t testing.TB, s Serialization, reply func(rt ReplyTo)) func() {
	server := startServer(t, newTestHandler(func(rt ReplyTo, _ *Command) { reply(rt) }), Options{})
	socket, err := net.Dial("tcp", server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	frame := requestFrame(t, sendV2(), 7, 0, s)
	var expected Reply
	fillSendReply(&expected)
	answer, _ := expected.appendHeader(nil, 7, s)
	received := make([]byte, len(answer))
	return func() {
		if _, err := socket.Write(frame); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(socket, received); err != nil {
			t.Fatal(err)
		}
		if string(received) != string(answer) {
			t.Fatal("got another answer")
		}
	}
}

// decodedReply is a reply as its receiver has it.
func decodedReply(t testing.TB, s Serialization) *Command {
	var r Reply
	fillSendReply(&r)
	frame, _ := r.appendHeader(nil, 99, s)
	c := &Command{}
	if err := c.Decode(append(frame, r.Body...)); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestARequestAndItsReplyDoNotAllocate(t *testing.T) { // as above
	for _, s := range []Serialization{JSON, Binary} {
		var alone, together Reply
		var b Batch
		expectNoAllocations(t, "Send "+s.String(), sendAndReply(t, s, func(rt ReplyTo) {
			fillSendReply(&alone)
			rt.Send(&alone)
		}))
		expectNoAllocations(t, "Batch "+s.String(), sendAndReply(t, s, func(rt ReplyTo) {
			fillSendReply(&together)
			b.Send(rt, &together)
			b.Flush()
		}))
		response := decodedReply(t, s)
		expectNoAllocations(t, "Pass "+s.String(), sendAndReply(t, s, func(rt ReplyTo) { rt.Pass(response) }))
	}
}

func BenchmarkDecodeSend(b *testing.B) {
	for _, s := range []Serialization{JSON, Binary} {
		b.Run(s.String(), func(b *testing.B) {
			frame := requestFrame(b, sendV2(), 7, 0, s)
			wire := make([]byte, len(frame))
			var c Command
			b.ReportAllocs()
			for b.Loop() {
				copy(wire, frame)
				p, _ := parsePrefix(wire, FrameBytesMax)
				if err := c.decode(p, wire); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncodeReply(b *testing.B) {
	for _, s := range []Serialization{JSON, Binary} {
		b.Run(s.String(), func(b *testing.B) {
			var r Reply
			var dst []byte
			b.ReportAllocs()
			for b.Loop() {
				fillSendReply(&r)
				dst, _ = r.appendHeader(dst[:0], 7, s)
			}
		})
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	var r Reply
	trip := sendAndReply(b, JSON, func(rt ReplyTo) {
		fillSendReply(&r)
		rt.Send(&r)
	})
	b.ReportAllocs()
	for b.Loop() {
		trip()
	}
}

// BenchmarkPipelined keeps 64 calls in flight on one connection.
func BenchmarkPipelined(b *testing.B) {
	b.Run("plain", func(b *testing.B) { benchmarkPipelined(b, Options{}, ClientOptions{}) })
	b.Run("TLS", func(b *testing.B) {
		benchmarkPipelined(b, Options{TLS: selfSignedTLS(b)}, ClientOptions{TLS: anyServer()})
	})
}

func benchmarkPipelined(b *testing.B, ours Options, theirs ClientOptions) {
	var r Reply
	server := startServer(b, newTestHandler(func(rt ReplyTo, _ *Command) {
		fillSendReply(&r)
		rt.Send(&r)
	}), ours)
	client, err := Dial(b.Context(), server.Addr().String(), theirs)
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	request := sendV2()
	window := make(chan struct{}, 64)
	done := func(_ *Command, err error) {
		if err != nil {
			b.Error(err)
		}
		<-window
	}
	b.ReportAllocs()
	for b.Loop() {
		window <- struct{}{}
		if err := client.Go(request, done); err != nil {
			b.Fatal(err)
		}
	}
	for range cap(window) {
		window <- struct{}{}
	}
}
