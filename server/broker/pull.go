package broker

import (
	"cmp"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
)

// Values of forbiddenType in a refused pull.
const (
	forbiddenByBroker       = 1
	forbiddenByGroup        = 2
	forbiddenByTopic        = 3
	forbiddenToBroadcasters = 4
	forbiddenBySubscription = 5
)

// pullRequest is one pull: from the reader goroutine by way of the read pool
// or the holds to its answer. It is pooled.
type pullRequest struct {
	puller   *puller
	replyTo  remoting.ReplyTo
	group    string
	topic    string
	queue    event.Queue
	asked    event.Offset // as the client asked
	offset   event.Offset // the same, or after what was found not to match
	messages int
	filter   filter // the codes may belong to a subscription
	codes    []int32
	match    func(tag int32) bool
	held     bool
	tracked  bool      // what is sent is recorded
	deadline time.Time // until when it may be held, zero for not at all

	links [linkKinds]link // of the holds
	heap  int             // place in the holds' heap
}

// puller serves the pull requests.
type puller struct {
	broker    *Broker
	pool      sync.Pool // of *pullRequest
	selectors selectors
	suggested atomic.Int64 // id of the broker to pull from next; remoting.MasterID where this one leads or is alone
}

// follows reports whether another node of the group may have more than this one.
func (p *puller) follows() bool { return p.suggested.Load() != remoting.MasterID }

func (p *puller) take() *pullRequest {
	if r, ok := p.pool.Get().(*pullRequest); ok {
		return r
	}
	r := &pullRequest{puller: p, heap: notInHeap}
	r.match = func(tag int32) bool { return r.filter.matches(tag) }
	return r
}

// finish takes back a request that has been answered or dropped.
func (p *puller) finish(r *pullRequest) {
	*r = pullRequest{puller: p, codes: r.codes[:0], match: r.match, heap: notInHeap}
	p.pool.Put(r)
}

// handle checks the request, commits the offset that comes with it, and
// answers, holds, or hands over to the read pool.
func (p *puller) handle(rt remoting.ReplyTo, cmd *remoting.Command) {
	var h pullHeader
	if err := h.parse(cmd); err != nil {
		p.broker.answerError(rt, err)
		return
	}
	if p.broker.live.get().permission&PermissionRead != 0 && p.broker.mustCreateGroup(h.group) {
		p.broker.handleAfterGroup(rt, cmd, string(h.group))
		return
	}
	r := p.take()
	r.replyTo = rt
	if forbidden, err := p.admit(r, &h); err != nil {
		p.refuse(r, err, forbidden)
		return
	}
	if p.answerReset(r) {
		return
	}
	if h.systemFlag&pullCommitsOffset != 0 && h.commitOffset >= 0 {
		// When the table is full the value is dropped: it comes again with the
		// next pull.
		_ = p.broker.commits.gather(commitKey{r.group, r.queue}, event.Offset(h.commitOffset), p.broker.clientName(rt.Conn))
	}
	p.start(r)
}

// answerReset sends a consumer to the offset that an administrator has set.
func (p *puller) answerReset(r *pullRequest) bool {
	offset, reset := p.broker.commits.takeReset(commitKey{r.group, r.queue})
	if !reset {
		return false
	}
	first, next := p.broker.queues.Bounds(r.queue)
	var reply remoting.Reply
	p.answer(r, &reply, pullReset, offset, first, next)
	return true
}

// start looks where the wanted offset lies.
func (p *puller) start(r *pullRequest) {
	first, next := p.broker.queues.Bounds(r.queue)
	if first <= r.offset && r.offset < next {
		if !p.broker.reads.submit(r) {
			p.refuse(r, refuse(remoting.ResponseFlowControl, "too many reads wait, pull again later"), 0)
		}
		return
	}
	p.answerOutside(r, first, next)
}

// admit makes RocketMQ's checks in RocketMQ's order and fills r. forbidden is
// the response's forbiddenType, 0 for none.
func (p *puller) admit(r *pullRequest, h *pullHeader) (forbidden int64, err error) {
	b := p.broker
	if b.live.get().permission&PermissionRead == 0 {
		return forbiddenByBroker, refuse(remoting.ResponseNoPermission, "the broker[%s] pulling message is forbidden", b.config.Address.Addr())
	}
	g, found := b.groups.GetBytes(h.group)
	if !found {
		return 0, errNoGroup(string(h.group))
	}
	if !groupAllows(g, attributeConsume) {
		return forbiddenByGroup, refuse(remoting.ResponseNoPermission, "subscription group no permission, %s", h.group)
	}
	t, found := b.topics.GetBytes(h.topic)
	if !found {
		return 0, refuse(remoting.ResponseTopicNotExist, "topic[%s] not exist, apply first please!", h.topic)
	}
	if permissionOf(t.Config.Attributes)&PermissionRead == 0 {
		return forbiddenByTopic, refuse(remoting.ResponseNoPermission, "the topic[%s] pulling message is forbidden", h.topic)
	}
	if h.queueID < 0 || int64(h.queueID) >= int64(t.Config.ReadQueues) {
		return 0, refuse(remoting.ResponseInvalidParameter, "queueId[%d] is illegal, topic:[%s] topicConfig.readQueueNums:[%d] consumer:[%v]",
			h.queueID, h.topic, t.Config.ReadQueues, r.replyTo.Conn.RemoteAddr())
	}
	if !groupAllows(g, attributeBroadcast) && b.clients.broadcasts(h.group) {
		return forbiddenToBroadcasters, refuse(remoting.ResponseNoPermission, "the consumer group[%s] can not consume by broadcast way", h.group)
	}
	if forbids(g, t.Config.Name) {
		return forbiddenBySubscription, refuse(remoting.ResponseNoPermission, "the consumer group[%s] is forbidden for topic[%s]", h.group, h.topic)
	}
	if err := p.subscribe(r, h); err != nil {
		return 0, err
	}
	r.group, r.topic, r.tracked = g.Config.Name, t.Config.Name, tracksDelivery(g)
	r.queue = event.Queue{Topic: t.ID, ID: uint32(h.queueID)}
	r.asked, r.offset = event.Offset(h.offset), event.Offset(h.offset)
	r.messages = min(max(int(h.messages), 1), pullMessagesMax)
	if h.systemFlag&pullMayWait != 0 && h.suspendMillis > 0 {
		wait := min(h.suspendMillis, b.config.Limits.HoldTime.Milliseconds())
		r.deadline = b.config.Clock().Add(time.Duration(wait) * time.Millisecond)
	}
	return 0, nil
}

// subscribe finds the filter: in the request, or in the group's heartbeats.
func (p *puller) subscribe(r *pullRequest, h *pullHeader) error {
	if h.systemFlag&pullHasSubscription != 0 {
		if p.filtersProperties(string(h.expressionType)) {
			return p.selectors.choose(&r.filter, h.subscription, remoting.ResponseSubscriptionParseFailed)
		}
		if len(h.expressionType) > 0 && string(h.expressionType) != expressionTag {
			return refuseExpression(string(h.expressionType))
		}
		r.filter.codes = r.codes
		err := r.filter.parse(h.subscription)
		r.codes = r.filter.codes
		return err
	}
	s, err := p.broker.clients.subscription(h.group, h.topic)
	if err != nil {
		return err
	}
	if s.version < h.subscriptionVersion {
		p.broker.clients.outdated(r.replyTo.Conn)
		return refuse(remoting.ResponseSubscriptionNotLatest, "the consumer's subscription not latest")
	}
	if p.filtersProperties(s.kind) {
		return p.selectors.choose(&r.filter, []byte(s.told.Expression), remoting.ResponseFilterDataNotExist)
	}
	if s.kind != "" && s.kind != expressionTag {
		return refuseExpression(s.kind)
	}
	r.filter = s.filter
	return nil
}

func (p *puller) filtersProperties(kind string) bool {
	return kind == expressionSQL && p.broker.config.PropertyFilter
}

func refuseExpression(kind string) error {
	return refuse(remoting.ResponseSystemError, "The broker does not support consumer to filter message by %s", kind)
}

// refuse answers with an error.
func (p *puller) refuse(r *pullRequest, err error, forbidden int64) {
	var reply remoting.Reply
	respond(&reply, err)
	if forbidden != 0 {
		reply.SetInt("forbiddenType", forbidden)
	}
	p.broker.metrics.refused(reply.Code)
	r.replyTo.Send(&reply)
	p.finish(r)
}

// pullStatus is RocketMQ's GetMessageStatus and the response code it leads to.
type pullStatus struct {
	name string
	code int32
}

var (
	pullFound          = pullStatus{"FOUND", remoting.ResponseSuccess}
	pullNoMatch        = pullStatus{"NO_MATCHED_MESSAGE", remoting.ResponsePullRetryImmediately}
	pullQueueEmpty     = pullStatus{"NO_MESSAGE_IN_QUEUE", remoting.ResponsePullNotFound}
	pullQueueEmptyJump = pullStatus{"NO_MESSAGE_IN_QUEUE", remoting.ResponsePullOffsetMoved}
	pullTooSmall       = pullStatus{"OFFSET_TOO_SMALL", remoting.ResponsePullOffsetMoved}
	pullAtEnd          = pullStatus{"OFFSET_OVERFLOW_ONE", remoting.ResponsePullNotFound}
	pullReset          = pullStatus{"OFFSET_RESET", remoting.ResponsePullOffsetMoved}
	pullBeyondEnd      = pullStatus{"OFFSET_OVERFLOW_BADLY", remoting.ResponsePullOffsetMoved}
)

// outside is the status of an offset that no message has, and the offset to go
// on with.
func outside(offset, first, next event.Offset) (pullStatus, event.Offset) {
	switch {
	case next == 0 && offset == 0:
		return pullQueueEmpty, 0
	case next == 0:
		return pullQueueEmptyJump, 0
	case offset < first:
		return pullTooSmall, first
	case offset == next:
		return pullAtEnd, offset
	default:
		return pullBeyondEnd, next
	}
}

// answerOutside serves a request whose offset no message has: it is held when
// that may change.
func (p *puller) answerOutside(r *pullRequest, first, next event.Offset) {
	status, begin := outside(r.offset, first, next)
	if begin < r.offset && p.follows() {
		// What is missing here was seen at the leader, and comes. A client that is
		// sent back instead gives the queue up for 20 s, and gets messages again.
		status, begin = pullAtEnd, r.offset
	}
	if status.code == remoting.ResponsePullNotFound && !r.deadline.IsZero() {
		p.hold(r)
		return
	}
	var reply remoting.Reply
	p.answer(r, &reply, status, begin, first, next)
}

// hold parks the request. Whoever parks looks at the queue once more: an
// arrival or a reset before the parking is seen here, a later one finds the
// request.
func (p *puller) hold(r *pullRequest) {
	r.held = true
	key, offset := commitKey{r.group, r.queue}, r.offset
	switch p.broker.holds.park(r) {
	case parkFull:
		p.refuse(r, refuse(remoting.ResponseSystemBusy, "[OVERLOAD]system busy: too many pulls are held, pull again later"), 0)
		return
	case parkEnded:
		p.expire(r, nil)
		return
	}
	// From here on r may be gone.
	if first, next := p.broker.queues.Bounds(key.queue); next > offset || first > offset || p.broker.commits.awaitsPickup(key) {
		p.broker.wake(key.queue)
	}
}

// expire answers a held request whose time is up, at once or with b's next
// flush.
func (p *puller) expire(r *pullRequest, b *remoting.Batch) {
	first, next := p.broker.queues.Bounds(r.queue)
	status := pullAtEnd
	switch {
	case r.offset != r.asked:
		status = pullNoMatch // so that the client goes on after what did not match
	case next == 0:
		status = pullQueueEmpty
	}
	var reply remoting.Reply
	p.fill(&reply, status, r.offset, first, next)
	p.broker.metrics.pulled(status.code)
	if b != nil {
		b.Send(r.replyTo, &reply)
	} else {
		r.replyTo.Send(&reply)
	}
	p.finish(r)
}

func (p *puller) fill(reply *remoting.Reply, status pullStatus, begin, first, next event.Offset) {
	reply.Code, reply.Remark = status.code, status.name
	reply.SetInt("suggestWhichBrokerId", p.suggested.Load())
	reply.SetInt("nextBeginOffset", int64(begin))
	reply.SetInt("minOffset", int64(first))
	reply.SetInt("maxOffset", int64(next))
}

// answer sends the outcome of a pull and ends it.
func (p *puller) answer(r *pullRequest, reply *remoting.Reply, status pullStatus, begin, first, next event.Offset) {
	p.fill(reply, status, begin, first, next)
	p.broker.metrics.pulled(status.code)
	r.replyTo.Send(reply)
	p.finish(r)
}

// run reads the messages; it runs in the read pool.
func (r *pullRequest) run(w *reader) {
	p := r.puller
	if r.held && p.answerReset(r) {
		return
	}
	if first, next := p.broker.queues.Bounds(r.queue); r.offset < first || r.offset >= next {
		p.answerOutside(r, first, next)
		return
	}
	limits := engine.ReadLimits{Count: r.messages, Bytes: pullBytesMax, Scan: pullScanMax}
	w.body, w.messages, w.selector, w.tracks, w.runs = w.body[:0], 0, r.filter.selector, r.tracked, w.runs[:0]
	examined, err := p.broker.queues.ReadQueue(r.queue, r.offset, limits, r.match, w.visit)
	first, next := p.broker.queues.Bounds(r.queue)
	switch {
	case err != nil && r.offset < first && errors.Is(err, engine.ErrNotFound):
		// The log was trimmed under the read.
		p.answerOutside(r, first, next)
	case err != nil:
		p.broker.config.Logger.Error("queue can't be read", "topic", r.topic, "queue", r.queue.ID, "offset", r.offset, "cause", err)
		p.refuse(r, fmt.Errorf("read queue %d of topic %s at offset %d: %w", r.queue.ID, r.topic, r.offset, err), 0)
	case w.messages > 0:
		w.reply.Reset()
		w.reply.Body = w.body
		w.measures.out(r, w.messages, len(w.body))
		p.broker.pulled.set(commitKey{r.group, r.queue}, examined)
		if r.tracked {
			p.broker.sentOut.note(deliveryKey{r.group, p.broker.clientName(r.replyTo.Conn), r.queue}, w.runs)
		}
		p.answer(r, &w.reply, pullFound, examined, first, next)
		w.reply.Body = nil
	case examined <= r.offset:
		p.answerOutside(r, first, next)
	case r.held && examined >= next:
		// All that has arrived does not match: it goes on waiting.
		r.offset = examined
		p.hold(r)
	default:
		w.reply.Reset()
		p.answer(r, &w.reply, pullNoMatch, examined, first, next)
	}
}

// take appends a message to the reader's body, with its place filled in, if
// the consumer wants it.
func (w *reader) take(m engine.Message) error {
	if w.selector != nil {
		if wanted, err := chosen(w.selector, m.Event.Payload()); err != nil || !wanted {
			return cmp.Or(err, engine.ErrSkip)
		}
	}
	at := len(w.body)
	w.body = append(w.body, m.Event.Payload()...)
	w.messages++
	if w.tracks {
		w.runs = appendRun(w.runs, m.Offset)
	}
	return record.Fill(w.body[at:], int64(m.Offset), int64(m.Position), m.Timestamp)
}
