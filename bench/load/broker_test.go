package load

import (
	"context"
	"encoding/binary"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/apogeemq/apogee/bench/frame"
	"github.com/apogeemq/apogee/server/remoting"
)

// fakeBroker decodes requests with the real codec, checks them and answers.
type fakeBroker struct {
	t      *testing.T
	mu     sync.Mutex
	keys   map[string]int // unique keys of sends
	queues map[string]int // sends by topic and queue
	topics []string       // created
	sends  int
	pulls  int
	routes int
	// lateRoutes is how many requests for a route are too early.
	lateRoutes int
	backlog    int64         // messages in each queue that can be pulled
	code       int32         // of the reply to a send
	corrupt    func([]byte)  // changes a pulled body
	first      chan struct{} // closed at the first send or pull
	once       sync.Once
}

// startBroker serves a fake broker until the test ends and returns its
// address.
func startBroker(t *testing.T, b *fakeBroker) string {
	t.Helper()
	return serve(t, b.begin(t), remoting.Options{})
}

func (b *fakeBroker) begin(t *testing.T) *fakeBroker {
	b.t, b.keys, b.queues, b.first = t, map[string]int{}, map[string]int{}, make(chan struct{})
	return b
}

// serve serves a handler until the test ends and returns its address.
func serve(t *testing.T, h remoting.Handler, o remoting.Options) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := remoting.Serve(l, h, o)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Errorf("shut down the fake broker: %v", err)
		}
	})
	return l.Addr().String()
}

func (b *fakeBroker) Closed(*remoting.Conn) {}

func (b *fakeBroker) Handle(rt remoting.ReplyTo, cmd *remoting.Command) {
	b.mu.Lock()
	defer b.mu.Unlock()
	reply := &remoting.Reply{}
	switch cmd.Code {
	case remoting.RequestUpdateAndCreateTopic:
		b.topics = append(b.topics, cmd.Text("topic"))
	case remoting.RequestSendMessageV2:
		b.once.Do(func() { close(b.first) })
		b.send(cmd, cmd.Text("i"))
		reply.Code, reply.Remark = b.code, "as the test wants"
	case remoting.RequestGetRouteInfoByTopic:
		if b.routes++; b.routes <= b.lateRoutes {
			reply.Code = remoting.ResponseTopicNotExist
		}
		reply.Body = []byte(`{"queueDatas":[{"brokerName":"b","writeQueueNums":4}]}`)
	case remoting.RequestSendBatchMessage:
		for body := cmd.Body; len(body) > 0; {
			size := binary.BigEndian.Uint32(body)
			bodyBytes := binary.BigEndian.Uint32(body[16:])
			b.send(cmd, string(body[20+bodyBytes+2:size]))
			body = body[size:]
		}
	case remoting.RequestGetMinOffset:
		reply.SetInt("offset", 0)
	case remoting.RequestGetMaxOffset:
		reply.SetInt("offset", b.backlog)
	case remoting.RequestPullMessage:
		b.once.Do(func() { close(b.first) })
		b.pull(cmd, reply)
	default:
		b.t.Errorf("request code %d", cmd.Code)
	}
	rt.Send(reply)
}

func (b *fakeBroker) send(cmd *remoting.Command, properties string) {
	b.sends++
	b.queues[cmd.Text("b")+"/"+cmd.Text("e")]++
	_, key, _ := strings.Cut(properties, "UNIQ_KEY\x01")
	key, rest, _ := strings.Cut(key, "\x02")
	if len(key) != uniqueKeyBytes || rest != "WAIT\x01true\x02" {
		b.t.Errorf("properties %q", properties)
	}
	b.keys[key]++
	if born, ok := cmd.Int("g"); !ok || time.Since(time.UnixMilli(born)).Abs() > time.Minute {
		b.t.Errorf("born time %q", cmd.Text("g"))
	}
}

func (b *fakeBroker) pull(cmd *remoting.Command, reply *remoting.Reply) {
	b.pulls++
	queue, ok1 := cmd.Int("queueId")
	from, ok2 := cmd.Int("queueOffset")
	count, ok3 := cmd.Int("maxMsgNums")
	if !ok1 || !ok2 || !ok3 || cmd.Text("topic") == "" || cmd.Text("subscription") != "*" {
		b.t.Errorf("pull with fields %q", cmd.Fields)
	}
	for i := from; i < min(from+count, b.backlog); i++ {
		reply.Body = appendRecord(reply.Body, uint32(queue), i)
	}
	if len(reply.Body) == 0 {
		reply.Code = remoting.ResponsePullNotFound
	}
	if b.corrupt != nil {
		b.corrupt(reply.Body)
	}
}

// appendRecord adds a record with body hello as a broker would return it.
func appendRecord(dst []byte, queue uint32, offset int64) []byte {
	be := binary.BigEndian
	at := len(dst)
	dst = be.AppendUint32(dst, 0)
	dst = be.AppendUint32(dst, recordMagic1)
	dst = be.AppendUint32(dst, 0x3610A686) // CRC of hello
	dst = be.AppendUint32(dst, queue)
	dst = be.AppendUint32(dst, 0) // flag
	dst = be.AppendUint64(dst, uint64(offset))
	dst = append(dst, make([]byte, recordBodyAt-recordSysFlagAt+8)...) // position to prepared offset
	dst = be.AppendUint32(dst, 5)
	dst = append(dst, "hello\x09TopicTest"...)
	dst = be.AppendUint16(dst, 10)
	dst = append(dst, "TAGS\x01TagA\x02"...)
	be.PutUint32(dst[at:], uint32(len(dst)-at))
	return dst
}

// target is a load that ends soon.
func target(address string, s frame.Serialization) Target {
	return Target{Address: address, Connections: 3, Topic: "T", Queues: 4, Serialization: s, Duration: time.Hour}
}
