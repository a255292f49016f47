package agent

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
	"github.com/apogeemq/apogee/tools/outbox/spool"
)

const (
	keepFlightBytes = 64 << 10 // memory of flights above it is left to the garbage collector
	inFlightBytes   = 256 << 20
)

// flight is one send on its way: with a copy of the request, so that it can be
// kept when nobody accepts it. It is pooled.
type flight struct {
	agent   *Agent
	door    *door // that it came in by
	replyTo remoting.ReplyTo
	bytes   int64
	command remoting.Command
	arena   []byte
	tried   []*upstream    // brokers that have said no
	conn    *remoting.Conn // that it was forwarded by

	request request
	read    bool // request is that of command

	name  []byte
	frame []byte // to be kept
	keys  []uint64
	entry spool.Entry

	landed func(*remoting.Command, error) // land
	reply  remoting.Reply
	id     []byte
}

func (a *Agent) takeFlight() *flight {
	if f, ok := a.flights.Get().(*flight); ok {
		return f
	}
	f := &flight{agent: a}
	f.landed = f.land
	f.entry.Stored = f.stored
	return f
}

// finish takes back a flight that is answered.
func (f *flight) finish() {
	a := f.agent
	a.inFlight.Add(-f.bytes)
	f.reply.Reset()
	f.replyTo, f.door, f.conn, f.read, f.request = remoting.ReplyTo{}, nil, nil, false, request{}
	clear(f.tried)
	f.tried, f.keys = f.tried[:0], f.keys[:0]
	f.entry.Stream, f.entry.Payload, f.entry.Doubt = nil, nil, false
	if cap(f.arena)+cap(f.frame) <= keepFlightBytes {
		a.flights.Put(f)
	}
}

// send takes a request to send. It runs on the reader of the client's
// connection.
func (a *Agent) send(d *door, rt remoting.ReplyTo, cmd *remoting.Command) {
	f := a.takeFlight()
	f.door, f.replyTo, f.bytes = d, rt, int64(len(cmd.Body))+1024
	f.arena = cmd.CopyTo(&f.command, f.arena)
	if inFlight := a.inFlight.Add(f.bytes); inFlight > inFlightBytes && inFlight > f.bytes {
		f.refuse(remoting.ResponseSystemBusy, "[OVERLOAD]the outbox has %d bytes of sends in flight; nothing was stored, try again", inFlight-f.bytes)
		return
	}
	if a.spool.Waiting() > 0 {
		if err := f.understand(); err == nil && !f.request.half() && f.hasBacklog() {
			a.metrics.joined.Inc()
			f.keep(false)
			return
		}
	}
	if d.upstream != nil && f.forward(d.upstream, rt.Conn.Burst()) {
		return
	}
	f.elsewhere()
}

// understand reads the request, once.
func (f *flight) understand() error {
	if f.read {
		return nil
	}
	err := f.request.read(&f.command)
	f.read = err == nil
	return err
}

// hasBacklog reports whether messages wait that this one must not overtake.
func (f *flight) hasBacklog() bool {
	name, lane := f.request.stream(f.name[:0], f.door.broker)
	f.name = name
	st := f.agent.spool.Known(name, lane)
	return st != nil && st.Waiting() > 0
}

// forward sends the request to a broker, together with others of a batch, and
// reports whether it did.
func (f *flight) forward(u *upstream, b *remoting.Batch) bool {
	f.tried = append(f.tried, u)
	c := u.connection()
	if c == nil {
		return false
	}
	oneway := f.command.IsOneway()
	f.conn = c
	if err := b.Forward(c, &f.command, f.agent.config.ForwardTime, f.landed); err != nil {
		return false
	}
	f.agent.metrics.forwarded.Inc()
	if oneway {
		f.finish()
	}
	return true
}

// land passes on the broker's answer, or finds another way.
func (f *flight) land(response *remoting.Command, err error) {
	v := inDoubt
	if err == nil {
		v = judge(response.Code, response.Remark)
	}
	switch v {
	case notAccepted:
		f.agent.metrics.notAccepted.Inc()
		f.elsewhere()
	case inDoubt:
		f.agent.metrics.inDoubt.Inc()
		f.keep(true)
	default:
		f.conn.Burst().Pass(f.replyTo, response)
		f.finish()
	}
}

// elsewhere looks for another broker of the topic that accepts the message, and
// keeps it where there is none.
func (f *flight) elsewhere() {
	if f.understand() == nil && !f.request.half() && len(f.request.shardingKey) == 0 && !f.request.signed {
		for _, q := range f.agent.routes.writable(f.request.topic) {
			if !f.hasTried(q.upstream) && q.upstream.connection() != nil {
				f.request.setQueue(f.request.queue % q.queues)
				var alone remoting.Batch
				forwarded := f.forward(q.upstream, &alone)
				alone.Flush()
				if forwarded {
					f.agent.metrics.elsewhere.Inc()
					return
				}
			}
		}
	}
	f.keep(false)
}

func (f *flight) hasTried(u *upstream) bool {
	for _, t := range f.tried {
		if t == u {
			return true
		}
	}
	return false
}

// refuse answers that nothing was stored.
func (f *flight) refuse(code int32, format string, args ...any) {
	f.agent.metrics.refused.Inc()
	f.replyTo.Send(&remoting.Reply{Code: code, Remark: fmt.Sprintf(format, args...)})
	f.finish()
}

// keep puts the message into the spool. With doubt a broker may have it.
func (f *flight) keep(doubt bool) {
	what := "nothing was stored, try again"
	if doubt {
		what = string(outcomeUnknown) + ", retry"
	}
	if err := f.understand(); err != nil {
		f.refuse(remoting.ResponseInvalidParameter, "the outbox can't keep it: %v; %s", err, what)
		return
	}
	r := &f.request
	switch {
	case r.half():
		f.refuse(remoting.ResponseServiceNotAvailable, "%s: no broker is in reach, and the half message of a transaction can't be kept: only a broker can ask for its outcome", what)
		return
	case strings.HasPrefix(string(r.topic), "%"):
		f.refuse(remoting.ResponseServiceNotAvailable, "%s: no broker is in reach, and messages of topic %s aren't kept", what, r.topic)
		return
	}
	if err := r.fixDelay(f.agent.config.DelayLevels); err != nil {
		f.refuse(remoting.ResponseMessageIllegal, "%v", err)
		return
	}
	if doubt {
		r.markDoubt()
	}
	err := f.put(doubt)
	switch {
	case errors.Is(err, spool.ErrFull):
		f.refuse(remoting.ResponseServiceNotAvailable, "%s: [OUTBOX_FULL]%v", what, err)
	case err != nil:
		f.refuse(remoting.ResponseServiceNotAvailable, "%s: the outbox can't keep it: %v", what, err)
	}
}

// put hands the message to the spool; afterwards it belongs to stored.
func (f *flight) put(doubt bool) (err error) {
	a, r := f.agent, &f.request
	name, lane := r.stream(f.name[:0], f.door.broker)
	f.name = name
	if f.entry.Stream = a.spool.Known(name, lane); f.entry.Stream == nil {
		if f.entry.Stream, err = a.spool.Stream(string(name), lane); err != nil {
			return err
		}
	}
	f.frame = append(append(f.frame[:0], byte(len(f.door.broker))), f.door.broker...)
	if f.frame, err = f.command.AppendFrame(f.frame); err != nil {
		return err
	}
	f.keys = f.keys[:0]
	r.eachKey(func(key []byte, unique bool) {
		if len(f.keys) < event.KeysMax {
			f.keys = append(f.keys, keyHash(r.topic, key))
		}
	})
	f.entry.Payload, f.entry.Keys, f.entry.Doubt = event.Bytes(f.frame), f.keys, doubt
	return a.spool.Put(&f.entry)
}

// stored answers the client. It runs on the log's goroutine.
func (f *flight) stored(e *spool.Entry) {
	a := f.agent
	e.Stream.Answered(e.Offset)
	if e.Outcome == engine.OutcomeUnknown {
		f.reply.Code, f.reply.Remark = remoting.ResponseServiceNotAvailable, "outcome unknown, retry: the outbox's disk doesn't answer"
	} else {
		f.fillSpooled(e)
		a.metrics.spooled.Inc()
	}
	a.batch.Send(f.replyTo, &f.reply)
	if e.Following() == 0 {
		a.batch.Flush()
	}
	f.finish()
}

// remarkSpooled is the remark, and the name of a header field, of the answer to
// a message that was kept.
const remarkSpooled = "APOGEE_SPOOLED"

func (f *flight) fillSpooled(e *spool.Entry) {
	r := &f.reply
	r.Code, r.Remark = remoting.ResponseSuccess, remarkSpooled+"=true"
	if e.Outcome == engine.OutcomeFlushTimeout {
		r.Code = remoting.ResponseFlushDiskTimeout
	}
	f.id = record.AppendMessageID(f.id[:0], f.here(), int64(e.Position))
	r.SetBytes("msgId", f.id)
	r.SetInt("queueId", int64(f.request.queue))
	r.SetInt("queueOffset", -1)
	if len(f.request.known.UniqueKey) > 0 {
		r.SetBytes("transactionId", f.request.known.UniqueKey)
	}
	r.SetText("MSG_REGION", "DefaultRegion")
	r.SetText("TRACE_ON", "true")
	r.SetText(remarkSpooled, "true")
}

// here is the address by which the client has come in.
func (f *flight) here() netip.AddrPort { return f.replyTo.Conn.LocalAddr() }
