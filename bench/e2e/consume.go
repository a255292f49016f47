package e2e

import (
	"fmt"
	"strconv"
	"sync"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/apogeemq/apogee/bench/load"
	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
)

const (
	pullCount  = 32
	pollMillis = "15000"
	// pullFlag: the broker may hold the pull, and the subscription is in it.
	pullFlag = "6"
)

// consumer pulls its queues over one connection. All answers come on the
// connection's goroutine.
type consumer struct {
	run    *run
	client *remoting.Client

	mu         sync.Mutex
	took       *hdrhistogram.Histogram
	seen       set
	delivered  int64
	duplicates int64
	err        error
}

// pull asks for what follows offset in one queue; the answer asks again.
func (c *consumer) pull(queue int, offset int64) {
	o := c.run.options
	err := c.client.Go(&remoting.Request{Code: remoting.RequestPullMessage, Header: []remoting.TextField{
		{Key: "consumerGroup", Value: o.Group}, {Key: "topic", Value: o.Topic}, {Key: "queueId", Value: strconv.Itoa(queue)},
		{Key: "queueOffset", Value: strconv.FormatInt(offset, 10)}, {Key: "maxMsgNums", Value: strconv.Itoa(pullCount)},
		{Key: "sysFlag", Value: pullFlag}, {Key: "commitOffset", Value: "0"}, {Key: "suspendTimeoutMillis", Value: pollMillis},
		{Key: "subscription", Value: "*"}, {Key: "subVersion", Value: "1"}, {Key: "expressionType", Value: "TAG"},
	}}, func(answer *remoting.Command, err error) { c.pulled(queue, offset, answer, err) })
	if err != nil {
		c.fail(err)
	}
}

func (c *consumer) pulled(queue int, offset int64, answer *remoting.Command, err error) {
	if c.run.over.Load() {
		return
	}
	if err != nil {
		c.fail(fmt.Errorf("pull queue %d: %w", queue, err))
		return
	}
	next, ok := answer.Int("nextBeginOffset")
	switch answer.Code {
	case remoting.ResponseSuccess:
		if err := c.count(answer.Body); err != nil {
			c.fail(fmt.Errorf("pull queue %d: %w", queue, err))
			return
		}
	case remoting.ResponsePullNotFound, remoting.ResponsePullRetryImmediately, remoting.ResponsePullOffsetMoved:
	default:
		c.fail(fmt.Errorf("pull queue %d: code %d: %s", queue, answer.Code, answer.Remark))
		return
	}
	if !ok {
		next = offset
	}
	c.pull(queue, next)
}

// count takes the records of one answer, which have all arrived now.
func (c *consumer) count(body []byte) error {
	now := c.run.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(body) > 0 {
		r, rest, err := record.Decode(body)
		if err != nil {
			return err
		}
		body = rest
		s, ok := readStamp(r.Body)
		if !ok || s.run != c.run.id {
			continue // of an earlier run
		}
		if !c.seen.add(s.number) {
			c.duplicates++
			continue
		}
		if !c.run.counts(s.due) {
			continue
		}
		c.delivered++
		if err := load.Record(c.took, now-s.due); err != nil {
			return err
		}
	}
	return nil
}

func (c *consumer) fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil && !c.run.over.Load() {
		c.err = err
		c.run.failed()
	}
}

// progress is how many counted messages have arrived, and what went wrong.
func (c *consumer) progress() (int64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.delivered, c.err
}
