package record

import "strconv"

// Return is what a message gets that a consumer has sent back.
type Return struct {
	Topic      []byte // that it was consumed from; kept where an earlier return has named one
	MessageID  []byte // of the message as it was consumed; kept likewise
	DelayLevel string // until the next try, "0" for none
}

// AppendReturned appends to dst the properties of a message that is stored for
// another try, or as a dead letter: its own, and those that say where it comes
// from. As in RocketMQ they also say that nobody waits for it.
func AppendReturned(dst []byte, sent Properties, r Return) []byte {
	topic, id := r.Topic, r.MessageID
	for name, value := range sent.All() {
		switch string(name) {
		case propertyWaitStored, propertyDelayLevel, "REAL_TOPIC", "REAL_QID", propertyTimerOut, "TIMER_ENQUEUE_MS", "TIMER_DEQUEUE_MS",
			propertyDelaySeconds, propertyDelayMillis, propertyDeliverMillis:
			continue // of an earlier wait
		case propertyRetryTopic:
			topic = nil
		case propertyOriginID:
			id = nil
		}
		dst = append(dst, name...)
		dst = append(dst, nameEnd)
		dst = append(dst, value...)
		dst = append(dst, valueEnd)
	}
	dst = AppendProperty(dst, propertyRetryTopic, topic)
	dst = AppendProperty(dst, propertyOriginID, id)
	dst = AppendProperty(dst, propertyWaitStored, "false")
	return AppendProperty(dst, propertyDelayLevel, r.DelayLevel)
}

// Origin says where a copy of a message comes from, and where it goes.
type Origin struct {
	Topic     string // that the original was consumed from, "" for none
	ID        string // of the original: what a broker gave, or a client
	RealTopic string // that a waiting message goes to
	RealQueue uint32
}

// Origin finds it in one walk.
func (p Properties) Origin() (o Origin) {
	for name, value := range p.All() {
		switch string(name) {
		case propertyRetryTopic:
			o.Topic = string(value)
		case propertyOriginID:
			o.ID = string(value)
		case propertyRealTopic:
			o.RealTopic = string(value)
		case propertyRealQueue:
			n, _ := strconv.ParseUint(string(value), 10, 32)
			o.RealQueue = uint32(n)
		}
	}
	return o
}
