package e2e

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/apogeemq/apogee/server/remoting"
)

// writer is one source of numbered messages and what it was told about them.
// Its numbers begin at 0 and have no gaps.
type writer struct {
	id     uint32
	queues int // message n goes to queue n modulo queues; 0: to any queue

	mu       sync.Mutex
	sent     uint64
	receipts map[uint64]receipt // SEND_OK
	refused  map[uint64]int32   // response codes that promise that nothing was stored
}

// receipt is what SEND_OK says.
type receipt struct {
	queue    int
	offset   int64
	position int64
}

func newWriter(id uint32, queues int) *writer {
	return &writer{id: id, queues: queues, receipts: map[uint64]receipt{}, refused: map[uint64]int32{}}
}

// confirmed is the number of receipts.
func (w *writer) confirmed() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.receipts)
}

const (
	bodyHead    = 12
	bodySizeMax = 3000
)

// bodyOf is the body of a message. Sizes differ, so that messages begin and
// end anywhere in a block.
func bodyOf(id uint32, number uint64) []byte {
	mix := (number*4 + uint64(id) + 1) * 0x9E3779B97F4A7C15 >> 32
	body := make([]byte, bodyHead+mix%bodySizeMax)
	binary.BigEndian.PutUint32(body, id)
	binary.BigEndian.PutUint64(body[4:], number)
	for i := bodyHead; i < len(body); i++ {
		body[i] = byte(mix) + byte(i)
	}
	return body
}

// identify reads whose message a body is. Every byte of it must be right.
func identify(body []byte) (id uint32, number uint64, err error) {
	if len(body) < bodyHead {
		return 0, 0, fmt.Errorf("a body of %d bytes", len(body))
	}
	id, number = binary.BigEndian.Uint32(body), binary.BigEndian.Uint64(body[4:])
	if !bytes.Equal(body, bodyOf(id, number)) {
		return 0, 0, fmt.Errorf("the body of message %d of writer %d is damaged", number, id)
	}
	return id, number, nil
}

// pipeline writes on one connection with many requests in flight.
type pipeline struct {
	*writer
	topic    string
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
	number := p.sent
	p.sent++
	request := &remoting.Request{
		Code: remoting.RequestSendMessageV2, Body: bodyOf(p.id, number),
		Header: fields("a", "e2e-producer", "b", p.topic, "c", "TBW102", "d", strconv.Itoa(p.queues),
			"e", strconv.Itoa(int(number%uint64(p.queues))), "f", "0", "g", strconv.FormatInt(time.Now().UnixMilli(), 10),
			"h", "0", "i", "", "j", "0", "k", "false", "m", "false"),
	}
	err := p.client.Go(request, func(reply *remoting.Command, err error) {
		if err == nil {
			p.take(number, reply)
			p.answered()
			p.send()
		}
	})
	if err != nil {
		p.finished = true // the connection is gone; the message may be anywhere
	}
}

// take notes an answer. Other codes than these two leave the outcome open;
// during a stop they are normal.
func (p *pipeline) take(number uint64, reply *remoting.Command) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch reply.Code {
	case remoting.ResponseSuccess:
		queue, _ := reply.Int("queueId")
		offset, _ := reply.Int("queueOffset")
		p.receipts[number] = receipt{int(queue), offset, positionOf(reply.Text("msgId"))}
	case remoting.ResponseSystemBusy:
		p.refused[number] = reply.Code
	}
}

// positionOf is the position in a message id, -1 when it has none.
func positionOf(messageID string) int64 {
	const digits = 16
	if len(messageID) < digits {
		return -1
	}
	n, err := strconv.ParseUint(messageID[len(messageID)-digits:], 16, 63)
	if err != nil {
		return -1
	}
	return int64(n)
}
