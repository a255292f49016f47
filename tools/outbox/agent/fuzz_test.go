package agent

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/apogeemq/apogee/server/broker/delay"
	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
	"github.com/apogeemq/apogee/tools/outbox/spool"
)

// keptAs is a request as the spool has it.
func keptAs(f *testing.F, r *remoting.Request, s remoting.Serialization) []byte {
	f.Helper()
	cmd := remoting.Command{Code: r.Code, Version: remoting.Version, Serialization: s, Body: r.Body}
	for _, h := range r.Header {
		cmd.Fields = append(cmd.Fields, remoting.Field{Key: []byte(h.Key), Value: []byte(h.Value)})
	}
	b, err := cmd.AppendFrame([]byte("\x08broker-a"))
	if err != nil {
		f.Fatal(err)
	}
	return b
}

// FuzzAnEntryIsReadOrSetAside: whatever an entry has for bytes, it becomes a
// message that is sent with what it had, or it goes into the quarantine. A client
// chooses all of it but the first few.
func FuzzAnEntryIsReadOrSetAside(f *testing.F) {
	for _, s := range []remoting.Serialization{remoting.JSON, remoting.Binary} {
		f.Add(keptAs(f, message(1, "body", "KEYS", "a b", "DELAY", "3"), s), true)
		f.Add(keptAs(f, message(1, "body", "TIMER_DELAY_MS", "9223372036854775807", "SHARDING_KEY", "k"), s), false)
	}
	batch := &remoting.Request{Code: remoting.RequestSendBatchMessage, Body: record.AppendBatch(nil, record.BatchItem{Body: []byte("one"), Properties: []byte("UNIQ_KEY\x01id\x02")})}
	batch.Set("b", "T")
	batch.Set("e", "1")
	f.Add(keptAs(f, batch, remoting.Binary), true)
	f.Add([]byte{}, true)
	f.Add([]byte{200}, true)
	levels, err := delay.ParseLevels(delay.DefaultLevels)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, payload []byte, doubt bool) {
		item := spool.Item{Payload: payload, Doubt: doubt}
		p := (&course{}).parcelOf(item)
		var l letter
		if got := l.open(payload) == nil; got != (p.reason == "") {
			t.Fatalf("it is shown as readable: %v; and sent: %q", got, p.reason)
		}
		listed(item)
		if p.reason != "" {
			return
		}
		appendRecords(nil, item, netip.MustParseAddrPort("127.0.0.1:1"), []byte("a"))
		_ = l.request.half()
		l.request.stream(nil, l.broker)
		before := l.request.queue
		if l.request.fixDelay(levels) == nil {
			l.request.markDoubt()
		}
		frame, err := l.command.AppendFrame(nil)
		if err != nil {
			return // it has become too large to be kept
		}
		var again remoting.Command
		var q request
		if err := again.Decode(frame); err != nil {
			t.Fatalf("what would be kept can't be read: %v", err)
		}
		if err := q.read(&again); err != nil {
			t.Fatalf("what would be kept makes no sense: %v", err)
		}
		if q.queue != before || !bytes.Equal(q.topic, l.request.topic) || !bytes.Equal(q.known.UniqueKey, l.request.known.UniqueKey) {
			t.Errorf("%+v has become %+v", l.request, q)
		}
	})
}
