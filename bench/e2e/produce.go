package e2e

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/apogeemq/apogee/bench/load"
	"github.com/apogeemq/apogee/server/remoting"
)

// sleepMax lets a producer notice that it was called off.
const sleepMax = 100 * time.Millisecond

// producer sends its share of a run over one connection.
type producer struct {
	run    *run
	client *remoting.Client
	index  int
	late   *hdrhistogram.Histogram // only the producer's goroutine
	body   []byte

	mu     sync.Mutex // answers come on the connection's goroutine
	sent   *hdrhistogram.Histogram
	due    int64 // measured messages that were sent, or could not be
	stored int64
	errors int64
	first  string
	wait   sync.WaitGroup // requests without an answer
}

func newProducer(r *run, c *remoting.Client, index int) *producer {
	return &producer{run: r, client: c, index: index, late: load.NewHistogram(), sent: load.NewHistogram(), body: make([]byte, r.options.Size)}
}

// produce sends each message when it is due, or as soon after as it can.
func (p *producer) produce(ctx context.Context) error {
	defer pace()()
	o := p.run.options
	request := remoting.Request{Code: remoting.RequestSendMessageV2}
	for number := p.index; number < p.run.messages; number += o.Producers {
		at := due(number, p.run.rate)
		for now := p.run.now(); now < at; now = p.run.now() {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			sleep(min(at-now, sleepMax))
		}
		if p.run.enough() {
			break
		}
		p.fill(&request, number, at)
		if err := p.send(ctx, &request, at); err != nil {
			return fmt.Errorf("send message %d: %w", number, err)
		}
		if p.run.counts(at) {
			p.due++
			if err := load.Record(p.late, p.run.now()-at); err != nil {
				return err
			}
		}
	}
	p.wait.Wait()
	return nil
}

// fill makes the request for one message.
func (p *producer) fill(r *remoting.Request, number int, at time.Duration) {
	o := p.run.options
	stamp{run: p.run.id, number: uint64(number), due: at}.put(p.body)
	r.Body = p.body
	r.Header = append(r.Header[:0],
		remoting.TextField{Key: "a", Value: o.Group}, remoting.TextField{Key: "b", Value: o.Topic},
		remoting.TextField{Key: "c", Value: "TBW102"}, remoting.TextField{Key: "d", Value: strconv.Itoa(o.Queues)},
		remoting.TextField{Key: "e", Value: strconv.Itoa(number % o.Queues)}, remoting.TextField{Key: "f", Value: "0"},
		remoting.TextField{Key: "g", Value: strconv.FormatInt(time.Now().UnixMilli(), 10)}, remoting.TextField{Key: "h", Value: "0"},
		remoting.TextField{Key: "i", Value: "WAIT\x01true\x02"}, remoting.TextField{Key: "j", Value: "0"},
		remoting.TextField{Key: "k", Value: "false"}, remoting.TextField{Key: "m", Value: "false"})
}

// send waits while too much is in flight: the message is late then, and its
// latency says so.
func (p *producer) send(ctx context.Context, r *remoting.Request, at time.Duration) error {
	p.wait.Add(1)
	for {
		err := p.client.Go(r, func(answer *remoting.Command, err error) { p.answered(at, answer, err) })
		if err == nil {
			return nil
		}
		if !errors.Is(err, remoting.ErrTooManyCalls) && !errors.Is(err, remoting.ErrOverload) || ctx.Err() != nil {
			p.wait.Done()
			return err
		}
		sleep(time.Millisecond)
	}
}

// answered counts one answer, or that there is none.
func (p *producer) answered(at time.Duration, answer *remoting.Command, err error) {
	defer p.wait.Done()
	took := p.run.now() - at
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err != nil:
		p.fail(err.Error())
	case answer.Code != remoting.ResponseSuccess:
		p.fail(fmt.Sprintf("code %d: %s", answer.Code, answer.Remark))
	case p.run.counts(at):
		p.stored++
		_ = load.Record(p.sent, took) // its bounds are checked there
	}
}

func (p *producer) fail(text string) {
	if p.errors == 0 {
		p.first = text
	}
	p.errors++
}
