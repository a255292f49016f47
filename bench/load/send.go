package load

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/apogeemq/apogee/bench/frame"
)

// sendReadBytes holds the replies to a whole window of single sends.
const sendReadBytes = 64 << 10

// SendOptions describe a load of sends.
type SendOptions struct {
	Target
	InFlight  int   // requests in flight, over all connections
	Size      int   // bytes of a message body
	Batch     int   // messages in a request; 1 sends single messages
	Topics    int   // topics of Queues queues each, written evenly
	Messages  int64 // stop after so many, 0 for no such limit
	Kind      Kind
	Delay     Delay // of delayed messages
	Create    TopicCreation
	Producers string // producer group
	// Nameserver that must know all topics before the load, and is asked for
	// their routes during it; "" for none.
	Nameserver string
}

// TopicCreation says who creates the topics of a send load.
type TopicCreation uint8

const (
	// CreateFirst creates them by an admin request before the load.
	CreateFirst TopicCreation = iota
	// CreateNever leaves it to the broker's auto-creation, or to the past.
	CreateNever
)

func (o *SendOptions) check() error {
	if err := o.Target.check(); err != nil {
		return err
	}
	switch {
	case o.InFlight < 1:
		return fmt.Errorf("run load: %d in flight, at least 1 is needed", o.InFlight)
	case o.Size < 1 || o.Size > frame.BytesMax/2:
		return fmt.Errorf("run load: body of %d bytes, allowed are 1 to %d", o.Size, frame.BytesMax/2)
	case o.Batch < 1 || o.Batch*(o.Size+fixedSubHead+len(properties)+2) > frame.BytesMax/2:
		return fmt.Errorf("run load: batches of %d × %d bytes: at least 1 message and at most %d bytes in all", o.Batch, o.Size, frame.BytesMax/2)
	case o.Topics < 1 || o.Topics*o.Queues > 1<<20:
		return fmt.Errorf("run load: %d topics of %d queues: at least 1 and at most %d queues in all", o.Topics, o.Queues, 1<<20)
	case o.Messages < 0:
		return fmt.Errorf("run load: %d messages: 0 (no limit) or more is needed", o.Messages)
	}
	return o.checkKind()
}

// String is the load in one readable line.
func (o *SendOptions) String() string {
	return fmt.Sprintf("send to %s: %d topics × %d queues, %d bytes, batch %d, %d in flight over %d connections, %s header%s",
		o.Address, o.Topics, o.Queues, o.Size, o.Batch, o.InFlight, o.connections(), o.Serialization, o.describe())
}

// connections is how many connections have something to do.
func (o *SendOptions) connections() int { return min(o.Connections, o.InFlight) }

func (o *SendOptions) topicName(i int) string {
	if o.Topics == 1 {
		return o.Topic
	}
	return fmt.Sprintf("%s-%06d", o.Topic, i)
}

// topicNames are all topics of the load.
func (o *SendOptions) topicNames() []string {
	names := make([]string, o.Topics)
	for i := range names {
		names[i] = o.topicName(i)
	}
	return names
}

// Send runs the load and returns what it measured. Canceling ctx ends it with
// an error.
func Send(ctx context.Context, o SendOptions) (*Result, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Create == CreateFirst {
		if err := createTopics(ctx, &o); err != nil {
			return nil, err
		}
	}
	if o.Nameserver == "" {
		return send(ctx, &o)
	}
	r, err := openRoutes(ctx, &o)
	if err != nil {
		return nil, err
	}
	defer r.control.close()
	if err := r.await(ctx); err != nil {
		return nil, err
	}
	asking, stop := context.WithCancel(ctx)
	asked := make(chan error, 1)
	go func() { asked <- r.run(asking) }()
	result, err := send(ctx, &o)
	stop()
	if err = errors.Join(err, <-asked); err != nil {
		return nil, err
	}
	result.Routes = r.asked
	return result, nil
}

// send runs the load on topics that exist.
func send(ctx context.Context, o *SendOptions) (*Result, error) {
	plan, err := newPlan(o)
	if err != nil {
		return nil, err
	}
	c := crew{zeroName: "SEND_OK"}
	if o.Kind != Plain {
		if c.arrivals, err = countArrivals(ctx, o); err != nil {
			return nil, err
		}
	}
	conns, err := dial(ctx, &o.Target, o.connections())
	if err != nil {
		return nil, err
	}
	defer closeAll(conns)
	w := &window{base: time.Now(), from: o.Warmup, to: o.Warmup + o.Duration}
	workers := make([]worker, len(conns))
	for i, conn := range conns {
		s := &sender{
			stream: newStream(conn, w, o.signature(), share(o.InFlight, len(conns), i), sendReadBytes),
			plan:   plan, next: len(plan.heads) * i / len(conns), left: math.MaxInt64,
			key: firstKey(w.base, i), bornBase: w.base.UnixMilli(), delay: &o.Delay,
		}
		if o.Messages > 0 {
			s.left = int64(share(int(o.Messages), len(conns), i))
		}
		workers[i] = s
	}
	c.conns, c.workers = conns, workers
	if o.Kind == Transactional {
		c.bytesOfArrival = o.Size
	}
	result, err := measure(ctx, &o.Target, w, c)
	if err != nil {
		return nil, err
	}
	result.Load = o.String()
	return result, nil
}

// share splits total into parts that differ by at most one.
func share(total, parts, i int) int {
	return total*(i+1)/parts - total*i/parts
}

// firstKey starts the unique keys of a connection: they differ between
// connections, and between runs as long as one connection sends less than a
// million messages a second.
func firstKey(base time.Time, connection int) uint64 {
	const microBits = 52
	return uint64(connection)<<microBits | uint64(base.UnixMicro())&(1<<microBits-1)
}

func createTopics(ctx context.Context, o *SendOptions) error {
	c, err := dialControl(ctx, o.Self, o.Address, o.Serialization)
	if err != nil {
		return err
	}
	defer c.close()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(controlsInFlight)
	for _, name := range o.topicNames() {
		group.Go(func() error { return c.createTopic(ctx, name, o.Queues) })
	}
	return group.Wait()
}

// sender is the send load of one connection.
type sender struct {
	stream
	plan     *plan
	next     int    // head of the next request
	left     int64  // messages that may still be sent
	key      uint64 // of the last message
	bornBase int64  // Unix milliseconds of the window's base
	born     [len(bornPlaceholder)]byte
	delay    *Delay
}

func (s *sender) run() error {
	now := s.window.now()
	s.stamp(now)
	for slot := range s.sent {
		s.request(slot, now)
	}
	if err := s.drive(s.handle); err != nil {
		return err
	}
	return s.flush() // ends of transactions that nobody answers
}

// handle counts one reply and sends the next request in its place.
func (s *sender) handle(f *frame.Frame, now time.Duration) error {
	code, opaque, err := f.CodeAndOpaque()
	if err != nil {
		return err
	}
	if opaque >= endingBase {
		s.tally.refuse(code, f.Remark())
		return nil
	}
	slot, sent, err := s.arrive(opaque)
	if err != nil {
		return err
	}
	if s.window.holds(now) {
		if err := s.count(f, code, sent, now); err != nil {
			return err
		}
	}
	if len(s.out) == 0 {
		s.stamp(now)
	}
	if s.plan.ending != nil && isStored(code) {
		var ok bool
		from := len(s.out)
		if s.out, ok = s.plan.ending.append(s.out, f, opaque); !ok {
			return fmt.Errorf("end transaction: the reply has no position, offset or key: %.300q", f.Header)
		}
		s.signature.put(s.out[from:], s.plan.ending.signatureAt)
	}
	if now < s.window.to {
		s.request(slot, now)
	}
	return nil
}

func (s *sender) count(f *frame.Frame, code int32, sent, now time.Duration) error {
	if code == 0 {
		s.tally.stored++
	} else {
		s.tally.refuse(code, f.Remark())
	}
	if !isStored(code) {
		return nil
	}
	return s.tally.record(sent, now, s.plan.messages, s.plan.bodyBytes)
}

// stamp renews the digits of the born time.
func (s *sender) stamp(now time.Duration) {
	frame.PutDecimal(s.born[:], s.bornBase+now.Milliseconds())
}

// request puts the next request into the output.
func (s *sender) request(slot int, now time.Duration) {
	if s.left <= 0 {
		return
	}
	s.left -= int64(s.plan.messages)
	from := len(s.out)
	s.out = s.plan.append(s.out, s.next, patch{opaque: frame.OpaqueBase + int32(slot), born: s.born[:], firstKey: s.key, due: s.due(now)})
	s.signature.put(s.out[from:], s.plan.heads[s.next].signatureAt)
	s.key += uint64(s.plan.messages)
	if s.next++; s.next == len(s.plan.heads) {
		s.next = 0
	}
	s.depart(slot, now)
}

// due is when a message that is sent now is to be delivered, if it is delayed
// until a time.
func (s *sender) due(now time.Duration) int64 {
	d := s.delay
	if !d.At.IsZero() {
		return d.At.UnixMilli()
	}
	wait := d.After
	if d.Spread > 0 {
		wait += time.Duration(rand.Int64N(int64(d.Spread)))
	}
	return s.bornBase + (now + wait).Milliseconds()
}
