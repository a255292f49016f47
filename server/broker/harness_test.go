package broker

import (
	"context"
	"encoding/binary"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
)

// patience is how long a test waits for what must happen.
const patience = 20 * time.Second

var storeHost = netip.MustParseAddrPort("192.0.2.1:10911")

func testConfig() Config {
	c := DefaultConfig(storeHost)
	c.Logger = slog.New(slog.DiscardHandler)
	c.OffsetCommitInterval = time.Millisecond
	c.Zone = time.UTC
	return c
}

// harness is a broker on a fake log behind a real server.
type harness struct {
	*testing.T
	log    *fakeLog
	broker *Broker
	server *remoting.Server
	client *remoting.Client
}

// start runs a broker with system topics, group CG and topic T of 4 queues.
func start(t *testing.T, change func(*Config)) *harness {
	t.Helper()
	return startGuarded(t, nil, change)
}

// startGuarded is start with access control.
func startGuarded(t *testing.T, a Authorizer, change func(*Config)) *harness {
	t.Helper()
	c := testConfig()
	if change != nil {
		change(&c)
	}
	log := newFakeLog()
	d := log.dependencies()
	d.Authorizer = a
	b, err := New(c, d)
	if err != nil {
		t.Fatal(err)
	}
	h := serve(t, b)
	h.log = log
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := b.CreateSystemTopics(ctx); err != nil {
		t.Fatal(err)
	}
	h.createGroup(defaultGroup("CG"))
	h.createTopic(TopicSettings{Name: "T", ReadQueues: 4, WriteQueues: 4, Permission: PermissionRead | PermissionWrite})
	return h
}

// serve puts a server before a broker and connects a client to it.
func serve(t *testing.T, b *Broker) *harness {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &harness{T: t, broker: b}
	h.server = remoting.Serve(listener, b, remoting.Options{Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(h.stop)
	h.client = h.dial(nil)
	return h
}

func (h *harness) stop() {
	h.broker.ReleasePulls()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := h.server.Shutdown(ctx); err != nil {
		h.Errorf("shut down: %v", err)
	}
	if err := h.broker.Close(); err != nil {
		h.Errorf("close the broker: %v", err)
	}
}

func (h *harness) dial(handler remoting.Handler) *remoting.Client {
	h.Helper()
	c, err := remoting.Dial(h.Context(), h.server.Addr().String(), remoting.ClientOptions{Handler: handler, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { c.Close() })
	return c
}

func (h *harness) createTopic(settings TopicSettings) {
	h.Helper()
	done := make(chan error, 1)
	h.broker.registry.createTopic(settings, func(err error) { done <- err })
	if err := receive(h.T, done); err != nil {
		h.Fatal(err)
	}
}

func (h *harness) createGroup(settings GroupSettings) {
	h.Helper()
	done := make(chan error, 1)
	h.broker.registry.createGroup(settings, func(err error) { done <- err })
	if err := receive(h.T, done); err != nil {
		h.Fatal(err)
	}
}

// receive takes an element that must come.
func receive[E any](t testing.TB, from <-chan E) E {
	t.Helper()
	select {
	case e := <-from:
		return e
	case <-time.After(patience):
		t.Fatal("nothing came in time")
		panic("unreachable")
	}
}

type fields map[string]string

func (f fields) with(key, value string) fields {
	changed := fields{key: value}
	for k, v := range f {
		if k != key {
			changed[k] = v
		}
	}
	return changed
}

func (f fields) request(code int32, body []byte) *remoting.Request {
	r := &remoting.Request{Code: code, Body: body}
	for k, v := range f {
		r.Set(k, v)
	}
	return r
}

// call sends a request and waits for the response.
func (h *harness) call(code int32, header fields, body []byte) *remoting.Command {
	h.Helper()
	return h.callAs(h.client, code, header, body)
}

func (h *harness) callAs(c *remoting.Client, code int32, header fields, body []byte) *remoting.Command {
	h.Helper()
	ctx, cancel := context.WithTimeout(h.Context(), patience)
	defer cancel()
	cmd, err := c.Call(ctx, header.request(code, body))
	if err != nil {
		h.Fatal(err)
	}
	return cmd
}

// begin sends a request whose response may take time.
func (h *harness) begin(c *remoting.Client, code int32, header fields, body []byte) <-chan *remoting.Command {
	h.Helper()
	responses := make(chan *remoting.Command, 1)
	err := c.Go(header.request(code, body), func(cmd *remoting.Command, err error) {
		if err == nil {
			responses <- cmd.Clone()
		}
	})
	if err != nil {
		h.Fatal(err)
	}
	return responses
}

func (h *harness) want(cmd *remoting.Command, code int32) *remoting.Command {
	h.Helper()
	if cmd.Code != code {
		h.Fatalf("response code %d with remark %q, want %d", cmd.Code, cmd.Remark, code)
	}
	return cmd
}

// sendFields are the header of SEND_MESSAGE_V2 to a queue of T.
func sendFields(queueID int) fields {
	return fields{
		"a": "PG", "b": "T", "c": "TBW102", "d": "4", "e": strconv.Itoa(queueID), "f": "0", "g": "1700000000000", "h": "0",
		"i": "UNIQ_KEY\x01U1\x02TAGS\x01TagA\x02KEYS\x01k1 k2\x02", "j": "0", "k": "false", "m": "false",
	}
}

// send stores a message in a queue of T.
func (h *harness) send(queueID int, tag, body string) *remoting.Command {
	h.Helper()
	f := sendFields(queueID).with("i", "TAGS\x01"+tag+"\x02")
	return h.want(h.call(remoting.RequestSendMessageV2, f, []byte(body)), remoting.ResponseSuccess)
}

// pullFields are the header of a pull of T with a subscription to everything.
func pullFields(queueID int, offset int64) fields {
	return fields{
		"consumerGroup": "CG", "topic": "T", "queueId": strconv.Itoa(queueID), "queueOffset": strconv.FormatInt(offset, 10),
		"maxMsgNums": "32", "sysFlag": "4", "commitOffset": "0", "suspendTimeoutMillis": "15000",
		"subscription": "*", "subVersion": "0", "expressionType": "TAG",
	}
}

// decodeAll reads the records of a pull's body.
func (h *harness) decodeAll(body []byte) []record.Record {
	h.Helper()
	var records []record.Record
	for len(body) > 0 {
		r, rest, err := record.Decode(body)
		if err != nil {
			h.Fatal(err)
		}
		records = append(records, r)
		body = rest
	}
	return records
}

// batchBody encodes messages as a producer's batch.
func batchBody(bodies ...string) []byte {
	var b []byte
	for i, body := range bodies {
		properties := "UNIQ_KEY\x01B" + strconv.Itoa(i) + "\x02TAGS\x01TagA\x02"
		b = binary.BigEndian.AppendUint32(b, uint32(22+len(body)+len(properties)))
		b = append(b, make([]byte, 8)...)
		b = binary.BigEndian.AppendUint32(b, uint32(i))
		b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
		b = append(b, body...)
		b = binary.BigEndian.AppendUint16(b, uint16(len(properties)))
		b = append(b, properties...)
	}
	return b
}
