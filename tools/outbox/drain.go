package outbox

import "time"

// spoolPause is between attempts to read a spool that fails.
const spoolPause = time.Second

// drain is one worker: it sends one spooled message after the other until the
// outbox is closed.
func (o *Outbox) drain() {
	for o.context.Err() == nil {
		e, err := o.spool.Take(o.context)
		switch {
		case err == nil:
			o.pass(e)
		case o.context.Err() == nil:
			o.options.Logger.Error("read the spool", "error", err)
			o.rest(spoolPause)
		}
	}
}

// pass makes one attempt with an entry and puts it where it belongs then.
func (o *Outbox) pass(e Entry) {
	_, err := o.attempt(o.context, e.Message)
	switch Class(err) {
	case nil:
		o.drained.Add(1)
		err = o.spool.Done(e)
	case ErrRefused:
		o.refused.Add(1)
		o.options.Logger.Error("a spooled message is refused for good and goes into quarantine",
			"topic", e.Message.Topic, "id", e.Message.ID, "error", err)
		err = o.spool.Quarantine(e, err.Error())
	default:
		o.spool.Return(e, time.Now().Add(o.options.Backoff.After(e.Attempts+1)), Class(err) == ErrInDoubt)
		return
	}
	if err != nil {
		o.options.Logger.Error("remove a message from the spool", "id", e.Message.ID, "error", err)
		o.rest(spoolPause)
	}
}

// rest waits, or until the outbox is closed.
func (o *Outbox) rest(wait time.Duration) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-o.context.Done():
	}
}
