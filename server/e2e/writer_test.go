package e2e

import (
	"strconv"
	"sync"
	"time"

	"github.com/apogeemq/apogee/bench/check"
	"github.com/apogeemq/apogee/server/remoting"
)

// writer is one source of numbered messages. Its numbers begin at 0 and have
// no gaps.
type writer struct {
	id      uint32
	history *history

	mu       sync.Mutex
	sent     uint64
	receipts []uint64 // numbers that SEND_OK confirmed
}

// newWriter declares a writer that sends nothing twice.
func newWriter(h *history, id uint32, line bool) *writer {
	h.record(check.Event{Kind: check.WriterBegan, Message: check.Message{Writer: id}, Tries: 1, Line: line, Text: "load"})
	return &writer{id: id, history: h}
}

func (w *writer) message(number uint64) check.Message {
	return check.Message{Writer: w.id, Number: number}
}

// next numbers a message that is about to be sent.
func (w *writer) next(queue check.Queue) check.Message {
	m := w.message(w.sent)
	w.sent++
	w.history.record(check.Event{Kind: check.SendBegan, Message: m, Queue: queue})
	return m
}

// confirmed is the number of receipts.
func (w *writer) confirmed() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.receipts)
}

// take notes how a send ended.
func (w *writer) take(e check.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	e.Kind = check.SendEnded
	w.history.record(e)
	if e.Status == check.OK {
		w.receipts = append(w.receipts, e.Number)
	}
}

// pipeline writes on one connection with many requests in flight.
type pipeline struct {
	*writer
	topic    string
	queues   uint64 // message n goes to queue n modulo queues
	client   *remoting.Client
	answered func() // called with each answer
	finished bool   // send no more; under the writer's lock
}

// begin sends the first requests; each answer sends one more.
func (p *pipeline) begin(inFlight int) {
	for range inFlight {
		p.send()
	}
}

// stop lets the answers send no more.
func (p *pipeline) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.finished = true
}

// send numbers a message and sends it, in one step: so that numbers go out in
// order.
func (p *pipeline) send() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.finished {
		return
	}
	queue := p.sent % p.queues
	m := p.next(check.Queue(queue))
	request := &remoting.Request{
		Code: remoting.RequestSendMessageV2, Body: check.Body(m),
		Header: fields("a", "e2e-producer", "b", p.topic, "c", "TBW102", "d", strconv.FormatUint(p.queues, 10),
			"e", strconv.FormatUint(queue, 10), "f", "0", "g", strconv.FormatInt(time.Now().UnixMilli(), 10),
			"h", "0", "i", "", "j", "0", "k", "false", "m", "false"),
	}
	err := p.client.Go(request, func(reply *remoting.Command, err error) {
		if err == nil {
			p.take(outcome(m, reply))
			p.answered()
			p.send()
		}
	})
	if err != nil {
		p.finished = true // the connection is gone; the message may be anywhere
	}
}

// outcome is what an answer says about a message.
func outcome(m check.Message, reply *remoting.Command) check.Event {
	e := check.Event{Message: m, Status: check.StatusOf(reply.Code), Code: reply.Code, Position: check.NoPosition}
	if e.Status.Placed() {
		queue, _ := reply.Int("queueId")
		e.Queue = check.Queue(queue)
		e.Offset, _ = reply.Int("queueOffset")
		e.Position = check.PositionOf(reply.Text("msgId"))
	}
	return e
}
