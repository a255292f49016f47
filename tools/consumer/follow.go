package consumer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
	"github.com/apogeemq/apogee/tools/client"
)

const (
	// toolsGroup is the group that RocketMQ has for tools that read without one.
	toolsGroup = "TOOLS_CONSUMER"

	pullCount      = 32
	pollTime       = 15 * time.Second
	retryTime      = time.Second
	commitInterval = time.Second

	// Bits of a pull's sysFlag.
	mayWait             = 1 << 1
	subscriptionInclude = 1 << 2
)

// follower reads one queue.
type follower struct {
	*options
	cluster *client.Cluster
	queue   client.Queue
	next    int64 // offset of the next pull
	end     int64 // with --stop-at-end: where it ends
	records chan<- delivery
	notes   io.Writer
}

// delivery is what a pull brought. The printer closes done once it is printed.
type delivery struct {
	queue client.Queue
	body  []byte
	next  int64 // offset behind it
	done  chan struct{}
}

// run follows all queues until the context ends, or there is enough.
func (o *options) run(ctx context.Context, out, notes io.Writer) error {
	cluster, err := o.client.Open()
	if err != nil {
		return err
	}
	defer cluster.Close()
	records := make(chan delivery)
	followers, err := o.followers(ctx, cluster, records, notes)
	if err != nil {
		return err
	}
	reading, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	for _, f := range followers {
		running.Go(func() { f.follow(reading) })
	}
	ended := make(chan struct{})
	go func() {
		running.Wait()
		close(ended)
	}()
	p := &printer{options: o, out: out, cluster: cluster, behind: map[client.Queue]int64{}}
	err = p.run(reading, records, ended)
	stop()
	<-ended
	return errors.Join(err, p.commit(context.WithoutCancel(ctx)))
}

// followers stand at the start of each queue.
func (o *options) followers(ctx context.Context, c *client.Cluster, records chan<- delivery, notes io.Writer) ([]*follower, error) {
	queues, err := c.ReadQueues(ctx, o.topic)
	if err != nil {
		return nil, err
	}
	if o.group != "" {
		if err := refuseMembers(ctx, c, o.group, queues); err != nil {
			return nil, err
		}
	}
	var all []*follower
	for _, q := range queues {
		if o.queue >= 0 && q.Queue != o.queue {
			continue
		}
		f := &follower{options: o, cluster: c, queue: q, records: records, notes: notes}
		if err := f.begin(ctx); err != nil {
			return nil, fmt.Errorf("find the start of queue %d of %s: %w", q.Queue, q.Broker, err)
		}
		all = append(all, f)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("--queue %d: topic %q has no such queue", o.queue, o.topic)
	}
	return all, nil
}

func (f *follower) begin(ctx context.Context) (err error) {
	from, err := parseStart(f.from)
	if err != nil {
		return err
	}
	found := false
	if f.group != "" {
		if f.next, found, err = committed(ctx, f.cluster, f.group, f.queue); err != nil {
			return err
		}
	}
	if !found {
		if f.next, err = from.in(ctx, f.cluster, f.queue); err != nil {
			return err
		}
	}
	if f.stopAtEnd {
		f.end, err = f.cluster.Bound(ctx, remoting.RequestGetMaxOffset, f.queue)
	}
	return err
}

// follow pulls until the context ends or the queue's end is reached.
func (f *follower) follow(ctx context.Context) {
	for ctx.Err() == nil && (!f.stopAtEnd || f.next < f.end) {
		body, next, err := f.pull(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			fmt.Fprintf(f.notes, "apogee: queue %d of %s: %v; trying again\n", f.queue.Queue, f.queue.Broker, err)
			wait(ctx, retryTime)
			continue
		}
		d := delivery{queue: f.queue, body: body, next: next, done: make(chan struct{})}
		select {
		case f.records <- d:
		case <-ctx.Done():
			return
		}
		select {
		case <-d.done:
		case <-ctx.Done():
			return
		}
		f.next = next
	}
}

// pull asks once and returns records, if any, and the next offset.
func (f *follower) pull(ctx context.Context) (body []byte, next int64, err error) {
	group, flag, poll := f.group, subscriptionInclude, time.Duration(0)
	if group == "" {
		group = toolsGroup
	}
	if !f.stopAtEnd {
		flag, poll = flag|mayWait, pollTime
	}
	answer, err := f.cluster.AskLong(ctx, f.queue.Address, client.NewRequest(remoting.RequestPullMessage,
		"consumerGroup", group, "topic", f.queue.Topic, "queueId", strconv.Itoa(f.queue.Queue),
		"queueOffset", strconv.FormatInt(f.next, 10), "maxMsgNums", strconv.Itoa(pullCount), "sysFlag", strconv.Itoa(flag),
		"commitOffset", "0", "suspendTimeoutMillis", strconv.FormatInt(poll.Milliseconds(), 10),
		"subscription", f.tag, "subVersion", "1", "expressionType", "TAG"), poll)
	if err != nil {
		return nil, 0, err
	}
	next, ok := answer.Int("nextBeginOffset")
	switch answer.Code {
	case remoting.ResponseSuccess, remoting.ResponsePullRetryImmediately, remoting.ResponsePullOffsetMoved:
		if !ok || answer.Code != remoting.ResponsePullOffsetMoved && next < f.next {
			return nil, 0, fmt.Errorf("%s answers a pull from offset %d without a next offset", f.queue.Address, f.next)
		}
		return answer.Body, next, nil
	case remoting.ResponsePullNotFound:
		if f.stopAtEnd {
			return nil, f.end, nil // what is missing behind the tags has been passed
		}
		return nil, f.next, nil
	}
	return nil, 0, &client.Refusal{Address: f.queue.Address, Code: answer.Code, Remark: string(answer.Remark)}
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// visit calls f for each record.
func visit(body []byte, f func(*record.Record) error) error {
	for len(body) > 0 {
		r, rest, err := record.Decode(body)
		if err == nil {
			err = f(&r)
		}
		if err != nil {
			return err
		}
		body = rest
	}
	return nil
}
