package broker

import (
	"fmt"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/topic"
	"github.com/apogeemq/apogee/server/broker/track"
	"github.com/apogeemq/apogee/server/remoting"
)

// resetRequest is an INVOKE_BROKER_TO_RESET_OFFSET.
type resetRequest struct {
	group  string
	topic  topic.Topic
	queue  int64 // negative for all
	millis int64 // negative for the end
	offset int64 // negative for none: go by the time
}

// resetOffset answers INVOKE_BROKER_TO_RESET_OFFSET when the new offsets are
// applied. Consumers need not be online. Whoever is gets each offset with its
// next pull, or the one that is held; what it commits before that counts no
// more.
func (b *Broker) resetOffset(rt remoting.ReplyTo, cmd *remoting.Command) {
	r, err := b.readReset(cmd)
	if err != nil {
		b.answerError(rt, err)
		return
	}
	b.read(rt, func() {
		offsets, err := b.resetOffsets(&r)
		if err != nil {
			b.answerError(rt, err)
			return
		}
		b.commits.reset(offsets, func(err error) {
			if err != nil {
				b.answerError(rt, err)
				return
			}
			for _, o := range offsets {
				b.wake(o.Queue) // held pulls pick it up at once
			}
			b.answerReset(rt, &r, offsets)
		})
	})
}

func (b *Broker) readReset(cmd *remoting.Command) (r resetRequest, err error) {
	r = resetRequest{group: cmd.Text("group"), queue: -1, offset: -1}
	t, found := b.topics.Get(cmd.Text("topic"))
	if !found {
		return r, refuse(remoting.ResponseTopicNotExist, "Topic %s does not exist", cmd.Text("topic"))
	}
	r.topic = t
	if _, found := b.groups.Get(r.group); !found {
		return r, refuse(remoting.ResponseGroupNotExist, "Group %.*s does not exist", groupBytesMax, r.group)
	}
	if n, ok := cmd.Int("queueId"); ok {
		r.queue = n
	}
	if n, ok := cmd.Int("offset"); ok {
		r.offset = n
	}
	millis, ok := cmd.Int("timestamp")
	if !ok {
		return r, refuse(remoting.ResponseInvalidParameter, "the request needs a timestamp in milliseconds")
	}
	r.millis = millis
	queues := int64(max(t.Config.ReadQueues, t.Config.WriteQueues))
	switch {
	case r.queue >= queues:
		return r, refuse(remoting.ResponseInvalidParameter, "queueId[%d] is illegal, topic[%s] has %d queues", r.queue, t.Config.Name, queues)
	case t.Config.ReadQueues == 0 && r.queue < 0:
		return r, refuse(remoting.ResponseSystemError, "No queues to reset.")
	}
	return r, nil
}

// resetOffsets finds the new offset of each queue.
func (b *Broker) resetOffsets(r *resetRequest) ([]event.OffsetCommit, error) {
	first, end := uint32(0), r.topic.Config.ReadQueues
	if r.queue >= 0 {
		first, end = uint32(r.queue), uint32(r.queue)+1
	}
	var offsets []event.OffsetCommit
	for id := first; id < end; id++ {
		q := event.Queue{Topic: r.topic.ID, ID: id}
		oldest, next := b.queues.Bounds(q)
		offset := next
		switch {
		case r.queue >= 0 && r.offset >= 0:
			offset = event.Offset(r.offset)
			if offset < oldest || offset > next+1 {
				return nil, refuse(remoting.ResponseSystemError, "Target offset %d not in consume queue range [%d-%d]", offset, oldest, next)
			}
		case r.millis >= 0 && oldest < next:
			var err error
			if offset, err = b.queues.OffsetAt(q, r.millis, engine.Lower); err != nil {
				return nil, fmt.Errorf("search queue %d by time: %w", id, err)
			}
		}
		offsets = append(offsets, event.OffsetCommit{Group: r.group, Queue: q, Offset: offset})
	}
	return offsets, nil
}

func (b *Broker) answerReset(rt remoting.ReplyTo, r *resetRequest, offsets []event.OffsetCommit) {
	var f fastJSON
	table := make([]queueEntry[event.Offset], len(offsets))
	for i, o := range offsets {
		table[i] = queueEntry[event.Offset]{b.messageQueueOf(r.topic, o.Queue.ID), o.Offset}
	}
	f.raw(`{"offsetTable":`)
	queueTable(&f, table)
	f.raw("}")
	if f.err != nil {
		b.answerError(rt, f.err)
		return
	}
	rt.Send(&remoting.Reply{Body: f.text})
}

// reset sets offsets back or forth and calls done when they are applied, on a
// goroutine that must not be kept. Until a consumer has picked up a new offset
// with takeReset, what it commits is ignored. That a reset waits to be picked
// up is not in the log: after a change of leaders the offset is the new one,
// but a consumer that was online goes on where it was.
func (c *commits) reset(offsets []event.OffsetCommit, done func(error)) {
	if err := c.tryReset(offsets, done); err != nil {
		done(err)
	}
}

func (c *commits) tryReset(offsets []event.OffsetCommit, done func(error)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.resets)+len(offsets) > c.config.Limits.GatheredOffsets {
		return c.full()
	}
	if err := c.setLocked(offsets, track.ClientOfResets, done); err != nil {
		return err
	}
	for _, o := range offsets {
		c.resets[commitKey{o.Group, o.Queue}] = o.Offset
	}
	c.resetCount.Store(int64(len(c.resets)))
	return nil
}

// copy sets offsets that a consumer finds when it asks, and calls done as
// reset does. It takes the place of resets that nobody has picked up.
func (c *commits) copy(offsets []event.OffsetCommit, done func(error)) {
	if len(offsets) == 0 {
		done(nil)
		return
	}
	if err := c.tryCopy(offsets, done); err != nil {
		done(err)
	}
}

func (c *commits) tryCopy(offsets []event.OffsetCommit, done func(error)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.setLocked(offsets, track.ClientOfCopies, done); err != nil {
		return err
	}
	for _, o := range offsets {
		delete(c.resets, commitKey{o.Group, o.Queue})
	}
	c.resetCount.Store(int64(len(c.resets)))
	return nil
}

// setLocked has offsets proposed, whatever the consumers have committed, and
// done called when they are applied.
func (c *commits) setLocked(offsets []event.OffsetCommit, client string, done func(error)) error {
	switch {
	case c.stopped:
		return errStopped
	case len(c.pending)+len(c.sent)+len(offsets) > c.config.Limits.GatheredOffsets:
		return c.full()
	}
	each := afterAll(len(offsets), done)
	for _, o := range offsets {
		k := commitKey{o.Group, o.Queue}
		g := c.pending[k]
		g.offset, g.client = o.Offset, client
		g.settled = append(g.settled, each)
		c.pending[k] = g
	}
	c.wakeLocked()
	return nil
}

// takeReset ends the reset of an offset that a consumer picks up.
func (c *commits) takeReset(k commitKey) (event.Offset, bool) {
	if c.resetCount.Load() == 0 {
		return 0, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	offset, found := c.resets[k]
	delete(c.resets, k)
	c.resetCount.Store(int64(len(c.resets)))
	return offset, found
}

// awaitsPickup reports whether an offset was reset and nobody has picked it up.
func (c *commits) awaitsPickup(k commitKey) bool {
	if c.resetCount.Load() == 0 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, found := c.resets[k]
	return found
}
