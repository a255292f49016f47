package remoting

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
)

var (
	// ErrTooManyCalls says that as many calls as allowed wait for answers.
	ErrTooManyCalls = errors.New("too many calls in flight")
	// ErrTimeout says that a call got no answer in time.
	ErrTimeout = errors.New("no answer in time")
)

// pendingCall is a request that waits for its response.
type pendingCall struct {
	done     func(*Command, error)
	expires  bool // by sweepCalls, not by a context
	encoded  bool // nobody reads the request any more
	age      int  // sweeps that it has seen
	patience int  // sweeps that it may see; 0 for as many as others
}

// calls correlates responses with the requests that this side has sent. The
// peer numbers its own requests independently.
type calls struct {
	slots chan struct{} // one element per call in flight

	mu      sync.Mutex
	opaque  int32
	waiting map[int32]pendingCall
	failed  error
}

// add registers a call, whose slot the caller has, and returns its number.
func (t *calls) add(call pendingCall) (int32, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.failed != nil {
		return 0, t.failed
	}
	if t.waiting == nil {
		t.waiting = make(map[int32]pendingCall)
	}
	for taken := true; taken; {
		t.opaque++
		_, taken = t.waiting[t.opaque]
	}
	t.waiting[t.opaque] = call
	return t.opaque, nil
}

// settle says that a call's request is encoded: from then on its callback may
// change or reuse what it was encoded from, so it must not time out before.
func (t *calls) settle(opaque int32) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if call, waits := t.waiting[opaque]; waits {
		call.encoded = true
		t.waiting[opaque] = call
	}
}

// take ends a call: whoever gets it owes its callback, or has the right to
// drop it. It frees the slot.
func (t *calls) take(opaque int32) (func(*Command, error), bool) {
	t.mu.Lock()
	call, ok := t.waiting[opaque]
	if ok {
		delete(t.waiting, opaque)
	}
	t.mu.Unlock()
	if ok {
		<-t.slots
	}
	return call.done, ok
}

// start sends a request whose slot the caller has taken, at once or with a batch.
// After an error call.done is not called and the slot is free again.
func (c *Conn) start(r outgoing, s Serialization, call pendingCall, b *Batch) (int32, error) {
	opaque, err := c.calls.add(call)
	if err != nil {
		<-c.calls.slots
		return 0, err
	}
	flush, err := c.encodeRequest(r, opaque, 0, s, b)
	if err != nil {
		if _, ours := c.calls.take(opaque); ours {
			return 0, err
		}
		return opaque, nil // the connection has failed meanwhile and done was called
	}
	if call.expires {
		c.calls.settle(opaque)
	}
	if flush {
		c.flushRequest(b)
	}
	return opaque, nil
}

// flushRequest writes a request that was encoded, unless somebody does soon: who
// has the batch, or the reader that calls back for responses.
func (c *Conn) flushRequest(b *Batch) {
	if b == nil && !c.completing.Load() {
		c.Flush()
	}
}

func (c *Conn) callSerialization() Serialization { return Serialization(c.serialization.Load()) }

// Call sends a request to the peer and waits for the response, which is the
// caller's to keep. A response with an error code is not an error. It waits
// for a free slot when too many calls are in flight. The error is ctx's, or
// says why the connection is closed. Handlers must not call it, since they run
// on the goroutine that reads the response.
func (c *Conn) Call(ctx context.Context, r *Request) (*Command, error) {
	select {
	case c.calls.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("call %d to %v: wait for a free slot: %w", r.Code, c.remote, ctx.Err())
	}
	type result struct {
		command *Command
		err     error
	}
	results := make(chan result, 1)
	opaque, err := c.start(r, c.callSerialization(), pendingCall{done: func(cmd *Command, err error) {
		if cmd != nil {
			cmd = cmd.Clone()
		}
		results <- result{cmd, err}
	}}, nil)
	if err != nil {
		return nil, fmt.Errorf("call %d to %v: %w", r.Code, c.remote, err)
	}
	select {
	case got := <-results:
		if got.err != nil {
			return nil, fmt.Errorf("call %d to %v: %w", r.Code, c.remote, got.err)
		}
		return got.command, nil
	case <-ctx.Done():
		c.calls.take(opaque)
		return nil, fmt.Errorf("call %d to %v: %w", r.Code, c.remote, ctx.Err())
	}
}

// Go sends a request and returns; done gets the response, on the goroutine
// that reads it, and must not block. The command is valid until done returns.
// Without a response done gets ErrTimeout (on a client, after CallTimeout) or
// the reason why the connection has ended. After an error of Go itself done is
// not called: ErrTooManyCalls or ErrOverload when too much is in flight,
// ErrTooLarge, or why the connection is closed. Requests that done sends go out
// together with those of the other responses that have arrived.
func (c *Conn) Go(r *Request, done func(*Command, error)) error {
	select {
	case c.calls.slots <- struct{}{}:
	default:
		return fmt.Errorf("call %d to %v: %w: at most %d", r.Code, c.remote, ErrTooManyCalls, cap(c.calls.slots))
	}
	if _, err := c.start(r, c.callSerialization(), pendingCall{done: done, expires: true}, nil); err != nil {
		return fmt.Errorf("call %d to %v: %w", r.Code, c.remote, err)
	}
	return nil
}

// Oneway sends a request that is not answered. nil means that it is on its
// way, not that it arrives.
func (c *Conn) Oneway(r *Request) error { return c.sendOneway(r, r.Code, c.callSerialization(), nil) }

func (c *Conn) sendOneway(r outgoing, code int32, s Serialization, b *Batch) error {
	c.calls.mu.Lock()
	c.calls.opaque++
	opaque := c.calls.opaque
	c.calls.mu.Unlock()
	flush, err := c.encodeRequest(r, opaque, flagOneway, s, b)
	if err != nil {
		return fmt.Errorf("one-way request %d to %v: %w", code, c.remote, err)
	}
	if flush {
		c.flushRequest(b)
	}
	return nil
}

// completeCall hands a response to the call it answers. Responses that nobody
// waits for are dropped.
func (c *Conn) completeCall(cmd *Command) {
	if done, ok := c.calls.take(cmd.Opaque); ok {
		done(cmd, nil)
		return
	}
	c.options.logger.Debug("response to no call in flight is dropped", "connection", c.id, "remote", c.remote, "opaque", cmd.Opaque)
}

// failCalls ends all calls, in the order in which they were sent, and those to
// come, with err.
func (c *Conn) failCalls(err error) {
	c.calls.mu.Lock()
	c.calls.failed = err
	waiting := c.calls.waiting
	c.calls.waiting = nil
	c.calls.mu.Unlock()
	for range waiting {
		<-c.calls.slots
	}
	for _, opaque := range sentOrder(waiting) {
		waiting[opaque].done(nil, err)
	}
}

// sentOrder lists calls as they were sent.
func sentOrder(calls map[int32]pendingCall) []int32 {
	return slices.SortedFunc(maps.Keys(calls), func(a, b int32) int { return cmp.Compare(a-b, 0) }) // numbers wrap around
}

// sweepCalls ends the calls of Go that have seen more than limit sweeps, in the
// order in which they were sent.
func (c *Conn) sweepCalls(limit int) {
	var late map[int32]pendingCall
	c.calls.mu.Lock()
	for opaque, call := range c.calls.waiting {
		if !call.expires || !call.encoded {
			continue
		}
		call.age++
		if call.age <= cmp.Or(call.patience, limit) {
			c.calls.waiting[opaque] = call
			continue
		}
		delete(c.calls.waiting, opaque)
		if late == nil {
			late = make(map[int32]pendingCall)
		}
		late[opaque] = call
	}
	c.calls.mu.Unlock()
	for _, opaque := range sentOrder(late) {
		<-c.calls.slots
		late[opaque].done(nil, ErrTimeout)
	}
}
