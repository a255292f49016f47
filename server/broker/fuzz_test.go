package broker

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/apogeemq/apogee/server/remoting"
)

// requestCodes are requests with seeds, by their index. All others that have
// handlers follow.
var requestCodes = []int32{10, 11, 14, 15, 29, 30, 31, 32, 34, 35, 38, 41, 42, 310, 320, 361}

// FuzzHandleTakesAnyRequest feeds handlers with headers and bodies of any
// content: a handler answers, it never panics, and the broker can be closed
// afterwards.
func FuzzHandleTakesAnyRequest(f *testing.F) {
	add := func(code byte, header fields, body []byte) {
		var text []byte
		for k, v := range header {
			text = append(append(append(append(text, k...), 0), v...), 0)
		}
		f.Add(code, text, body)
	}
	add(0, longSendFields(sendFields(-1)), []byte("x"))
	add(1, pullFields(0, 0), nil)
	add(1, waiting(0, 0).with("suspendTimeoutMillis", "9223372036854775807"), nil)
	add(3, offsetFields(0).with("commitOffset", "9223372036854775807"), nil)
	add(4, offsetFields(1).with("timestamp", "-1"), nil)
	add(8, nil, heartbeatBody("c1", "CG", map[string]string{"T": "TagA"}))
	add(8, nil, []byte(`{"clientID":"c","consumerDataSet":[{"groupName":"CG","subscriptionDataSet":[{"codeSet":["x"]}]}]}`))
	add(11, nil, []byte(`{"clientId":"c","consumerGroup":"CG","mqSet":[{"topic":"T","queueId":-1}]}`))
	add(13, sendFields(0).with("b", "%RETRY%CG").with("j", "17"), []byte("x"))
	add(14, sendFields(0).with("m", "true"), batchBody("a", "b"))
	c := testConfig()
	c.Limits.HoldTime = time.Millisecond
	c.Limits.WaitingCreations = 1 << 20
	log := newFakeLog()
	b, err := New(c, log.dependencies())
	if err != nil {
		f.Fatal(err)
	}
	codes := slices.Clone(requestCodes)
	for code := range b.handlers {
		if !slices.Contains(codes, code) {
			codes = append(codes, code)
		}
	}
	slices.Sort(codes[len(requestCodes):])
	b.clients.notify = func(*remoting.Conn, string) {}
	f.Cleanup(func() {
		if err := b.Close(); err != nil {
			f.Error(err)
		}
	})
	if err := b.CreateSystemTopics(context.Background()); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, code byte, header, body []byte) {
		rt := remoting.ReplyTo{Conn: new(remoting.Conn), Oneway: true}
		cmd := &remoting.Command{Code: codes[int(code)%len(codes)], Body: body, Version: 479}
		for len(header) > 0 {
			var key, value []byte
			key, header = cutZero(header)
			value, header = cutZero(header)
			cmd.Fields = append(cmd.Fields, remoting.Field{Key: key, Value: value})
		}
		b.Handle(rt, cmd)
		b.Closed(rt.Conn)
	})
}

func cutZero(b []byte) (before, after []byte) {
	for i := range b {
		if b[i] == 0 {
			return b[:i:i], b[i+1:]
		}
	}
	return b, nil
}
