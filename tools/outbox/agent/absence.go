package agent

import "time"

// absence is a broker that is missing in the routes of a course's topic. One
// that nameservers don't name for Config.GoneAfter, while they name others, is
// gone for good: else what waits for it would wait for ever.
type absence struct {
	since time.Time
	told  bool
}

// place finds where an entry goes. What its client has signed can't change its
// queue, so it waits for its broker.
func (c *course) place(p *parcel) (target, int32, bool) {
	r := c.drain.agent.routes
	t, queue, ok := r.place(p.broker, p.request.topic, p.command, p.request.queue, mayReturn)
	if ok {
		delete(c.absent, p.broker)
		return t, queue, true
	}
	if p.request.signed || p.broker == ownBroker || !c.isGone(p) {
		return target{}, 0, false
	}
	return r.place(p.broker, p.request.topic, p.command, p.request.queue, goneForGood)
}

// isGone reports whether the broker of an entry, which the route doesn't have,
// counts as gone for good. Time in which no nameserver tells doesn't count.
func (c *course) isGone(p *parcel) bool {
	k := c.drain.agent.routes.get(p.request.topic)
	if !k.isConfirmed() || len(k.queues) == 0 {
		delete(c.absent, p.broker)
		return false
	}
	a := c.absent[p.broker]
	if a == nil {
		c.absent[p.broker] = &absence{since: time.Now()}
		return false
	}
	if time.Since(a.since) < c.drain.agent.config.GoneAfter {
		return false
	}
	if !a.told {
		a.told = true
		c.drain.agent.log.Warn("a broker is gone for good: what waits for it goes to others of its topic",
			"broker", p.broker, "topic", string(p.request.topic), "missingSince", a.since)
	}
	return true
}
