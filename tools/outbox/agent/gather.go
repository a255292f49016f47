package agent

import (
	"slices"
	"strconv"

	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
)

const (
	batchMax      = 128 // entries that are sent together
	batchBytesMax = 512 << 10
	gatherMax     = 64 << 10 // larger ones gain nothing
)

// batch is one request with several entries of a stream, as they stand one
// behind the other: a broker that says that it gathers stores all of them or none, in
// their order, and each as if it had come alone. It is used again and again.
type batch struct {
	course  *course
	parcels []*parcel
	command remoting.Command
	body    []byte
	flying  bool
	landed  func(*remoting.Command, error)
}

// together is what the headers of entries must have in common to be one batch,
// and the message's flag; "" where it can't be part of one.
func (r *request) together(broker string) (key string, flag int32) {
	k := &r.known
	switch {
	case r.command == nil || r.batch || r.signed || r.half() || k.Timed() || k.DelayLevel != nil || k.InnerNumber != nil || len(k.UniqueKey) == 0,
		len(r.command.Body) == 0, len(r.command.Body) > gatherMax:
		return "", 0
	}
	c := r.command
	if !knowsAll(c) {
		return "", 0
	}
	b := append([]byte(broker), 0, c.Language, byte(c.Version>>8), byte(c.Version), byte(c.Serialization))
	for i, name := range batchFields(c.Code) {
		value, _ := c.Get(name)
		switch shortSendNames[i] {
		case "g", "i", "m":
			continue // each message's own
		case "h":
			n, err := strconv.ParseInt(string(value), 10, 32)
			if err != nil {
				return "", 0
			}
			flag = int32(n)
			continue
		case "j":
			if len(value) > 0 && string(value) != "0" {
				return "", 0
			}
		}
		b = append(append(b, value...), 0)
	}
	return string(b), flag
}

// Names of a send's fields in the short and in the long style.
var (
	shortSendNames = []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m"}
	longSendNames  = []string{"producerGroup", "topic", "defaultTopic", "defaultTopicQueueNums", "queueId", "sysFlag", "bornTimestamp", "flag",
		"properties", "reconsumeTimes", "unitMode", "maxReconsumeTimes", "batch"}
)

// knowsAll reports whether a send has no fields but those that a batch repeats,
// and the broker's name, which the address says.
func knowsAll(c *remoting.Command) bool {
	names := batchFields(c.Code)
	for _, f := range c.Fields {
		if key := string(f.Key); key != "n" && key != "bname" && key != "brokerName" && !slices.Contains(names, key) {
			return false
		}
	}
	return true
}

func batchFields(code int32) []string {
	if code == remoting.RequestSendMessage {
		return longSendNames
	}
	return shortSendNames
}

// begins reports whether the first two of a window can go together, and where
// to. Routes change at any time, so what it found is what counts.
func (b *batch) begins(window []*parcel) (t target, queue int32, ok bool) {
	if len(window) < 2 || !window[0].fits(window[1]) {
		return target{}, 0, false
	}
	t, queue, ok = b.course.place(window[0])
	return t, queue, ok && t.upstream.gathers.Load()
}

// fits reports whether the next entry can be sent together with this one.
func (p *parcel) fits(next *parcel) bool {
	return p.together != "" && p.together == next.together && next.reason == ""
}

// sendBatch sends the first entries together, and reports whether that is done.
// Nothing of the stream is in flight.
func (c *course) sendBatch() bool {
	t, queue, ok := c.batch.begins(c.window)
	if !ok {
		return false
	}
	conn := t.upstream.connection()
	if conn == nil {
		return false
	}
	b := &c.batch
	b.parcels, b.body = b.parcels[:0], b.body[:0]
	for i, p := range c.window {
		if i > 0 && !c.window[0].fits(p) || len(b.parcels) == batchMax || len(b.body)+len(p.frame) > batchBytesMax && i > 0 || c.drain.limit.take() > 0 {
			break
		}
		b.parcels = append(b.parcels, p)
		b.body = record.AppendBatch(b.body, record.BatchItem{Born: p.request.born, Flag: p.flag, Body: p.command.Body, Properties: p.request.properties})
	}
	if len(b.parcels) > 0 && conn.Forward(b.fill(queue), c.drain.agent.config.ForwardTime, b.landed) == nil {
		for _, p := range b.parcels {
			p.flying = true
		}
		c.flying += len(b.parcels)
		b.flying = true
		return true
	}
	for range b.parcels {
		c.drain.limit.giveBack()
	}
	return false
}

// fill makes the request.
func (b *batch) fill(queue int32) *remoting.Command {
	first := &b.parcels[0].command
	b.command = remoting.Command{Code: remoting.RequestSendBatchMessage, Language: first.Language, Version: first.Version,
		Serialization: first.Serialization, Fields: b.command.Fields[:0], Body: b.body}
	set := func(name string, value []byte) {
		b.command.Fields = append(b.command.Fields, remoting.Field{Key: []byte(name), Value: value})
	}
	for i, name := range batchFields(first.Code) {
		switch short := shortSendNames[i]; short {
		case "e":
			set(short, strconv.AppendInt(nil, int64(queue), 10))
		case "i":
		case "m":
			set(short, []byte("true"))
		default:
			if value, found := first.Get(name); found {
				set(short, value)
			}
		}
	}
	set(record.FieldGathered, []byte("true"))
	return &b.command
}

// land runs on the reader of the broker's connection.
func (b *batch) land(response *remoting.Command, err error) {
	o := outcome{verdict: inDoubt}
	if err == nil {
		o.verdict = judge(response.Code, response.Remark)
	}
	b.course.landed <- o
}

// landBatch takes in what became of a batch. What is wrong with one of its
// messages is found out by sending each alone.
func (c *course) landBatch(o outcome) {
	b, m := &c.batch, c.drain.agent.metrics
	b.flying = false
	c.flying -= len(b.parcels)
	for _, p := range b.parcels {
		p.flying, p.delivered = false, o.verdict == stored
		switch o.verdict {
		case refused, unwilling:
			p.together = ""
		case inDoubt:
			m.drainDoubt.Inc()
			if !p.doubt {
				p.doubt = true
				p.request.markDoubt()
			}
		}
	}
	switch o.verdict {
	case stored:
		c.pause = pauseMin
		m.delivered.Add(len(b.parcels))
		c.advance()
	case notAccepted, inDoubt:
		m.drainFailed.Add(len(b.parcels))
		c.rest()
	}
	clear(b.parcels)
}
