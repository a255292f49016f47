package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/server/remoting"
)

// refusal is a request that can't be served as it is: the caller's fault, or
// something that is not there.
type refusal struct {
	code   int32
	remark string
}

func (r *refusal) Error() string { return r.remark }

func refuse(code int32, format string, arguments ...any) error {
	return &refusal{code: code, remark: fmt.Sprintf(format, arguments...)}
}

// errUnknownOutcome: the event may be stored, or not.
var errUnknownOutcome = errors.New("outcome unknown, retry")

// errStopped: the broker is shutting down.
var errStopped = errors.New("the broker is shutting down")

// errorCodes is the one place where an error gets its response code. The
// first class that matches holds. RocketMQ's producers retry on another broker
// after 1, 2 and 14.
var errorCodes = []struct {
	class  error
	code   int32
	remark string // "" takes the error's text
}{
	{engine.ErrBusy, remoting.ResponseSystemBusy,
		"[TIMEOUT_CLEAN_QUEUE]broker busy, start flow control for a while"},
	{engine.ErrDiskFull, remoting.ResponseServiceNotAvailable,
		"service not available now: the disk of this broker is nearly full, it takes no new messages until space is free"},
	{errUnknownOutcome, remoting.ResponseServiceNotAvailable, "outcome unknown, retry"},
	{engine.ErrNotLeader, remoting.ResponseServiceNotAvailable,
		"service not available now: this broker is not the master, ask the nameserver for the route"},
	{engine.ErrTooLarge, remoting.ResponseMessageIllegal, ""},
	{engine.ErrClosed, remoting.ResponseServiceNotAvailable, "service not available now: the broker is shutting down"},
	{errStopped, remoting.ResponseServiceNotAvailable, "service not available now: the broker is shutting down"},
	{context.Canceled, remoting.ResponseServiceNotAvailable, "service not available now: the broker is shutting down"},
	{context.DeadlineExceeded, remoting.ResponseServiceNotAvailable, "outcome unknown, retry"},
	{engine.ErrNotFound, remoting.ResponseSystemError, ""},
	{engine.ErrCorrupt, remoting.ResponseSystemError, ""},
}

// respond puts the code and remark of err into r.
func respond(r *remoting.Reply, err error) {
	var refused *refusal
	if errors.As(err, &refused) {
		r.Code, r.Remark = refused.code, refused.remark
		return
	}
	for _, c := range errorCodes {
		if errors.Is(err, c.class) {
			r.Code, r.Remark = c.code, c.remark
			if r.Remark == "" {
				r.Remark = err.Error()
			}
			return
		}
	}
	r.Code, r.Remark = remoting.ResponseSystemError, err.Error()
}

// sendCodes are the response codes of a proposal's outcomes.
var sendCodes = [...]int32{
	engine.OutcomeCommitted:      remoting.ResponseSuccess,
	engine.OutcomeFlushTimeout:   remoting.ResponseFlushDiskTimeout,
	engine.OutcomeNoReplica:      remoting.ResponseSlaveNotAvailable,
	engine.OutcomeReplicaTimeout: remoting.ResponseFlushSlaveTimeout,
	engine.OutcomeUnknown:        remoting.ResponseServiceNotAvailable,
}

// answerError sends err's code and remark.
func (b *Broker) answerError(rt remoting.ReplyTo, err error) {
	var r remoting.Reply
	respond(&r, err)
	b.metrics.refused(r.Code)
	rt.Send(&r)
}

// answer sends a success without header and body.
func answer(rt remoting.ReplyTo) {
	var r remoting.Reply
	rt.Send(&r)
}

// answerAfter returns what is called with the results of so many changes: the
// last call answers, with the first error if there was one. With no changes
// it answers at once.
func (b *Broker) answerAfter(rt remoting.ReplyTo, count int) func(error) {
	if count == 0 {
		answer(rt)
		return nil
	}
	return afterAll(count, func(err error) {
		if err != nil {
			b.answerError(rt, err)
			return
		}
		answer(rt)
	})
}

// afterAll returns what is called with so many results, from any goroutine: the
// last call calls done with the first error if there was one.
func afterAll(count int, done func(error)) func(error) {
	var mu sync.Mutex
	var first error
	return func(err error) {
		mu.Lock()
		if first == nil {
			first = err
		}
		count--
		last := count == 0
		mu.Unlock()
		if last {
			done(first)
		}
	}
}
