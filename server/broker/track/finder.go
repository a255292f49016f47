package track

import (
	"bytes"
	"slices"
	"strings"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/topic"
	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/broker/settlement"
)

// found is a message and what is needed to follow it.
type found struct {
	Message
	queue   event.Queue
	topic   topic.Topic
	payload []byte
	handle  event.Position // of itself, while it waits and afterwards, 0 for a message in its queue
	cause   event.Position // of what has waited to become it, 0 for nothing
	copyFor string         // the group that it is a copy for, "" for an original
	origin  record.Origin

	reconsumed int32
}

// finder looks for the messages with an id.
type finder struct {
	*Tracker
	id    string
	found []found
}

func (f *finder) find(topicName string) error {
	if position, err := record.ParseMessageID(f.id); err == nil {
		if err := f.atPosition(event.Position(position)); err != nil || len(f.found) > 0 {
			return err
		}
	}
	if topicName != "" {
		t, known := f.Topics.Get(topicName)
		if !known {
			return nil
		}
		return f.withKey(t)
	}
	return f.anywhere()
}

// atPosition takes the message that a broker's id names: the message that it
// was a copy of, if that is still there.
func (f *finder) atPosition(position event.Position) error {
	var m found
	named := false
	err := f.Log.ReadAt(position, func(read engine.Message) (err error) {
		if read.Event.Kind() != event.KindMessage && !read.Event.Kind().Waits() {
			return nil
		}
		m, named, err = f.read(read)
		named = named && strings.EqualFold(m.ID, f.id)
		return err
	})
	if isNotFound(err) || err == nil && !named {
		return nil
	}
	if err != nil {
		return err
	}
	if m.copyFor != "" {
		if original, there, err := f.originOf(&m); err != nil || there {
			f.found = append(f.found, original)
			return err
		}
	}
	return f.take(m)
}

// read makes a found message of an event. ok is false for what is no message.
func (f *finder) read(read engine.Message) (m found, ok bool, err error) {
	payload := read.Event.Payload()
	if read.Event.Kind() != event.KindMessage {
		if payload, err = settlement.Record(read.Event); err != nil {
			return m, false, err
		}
		m.handle, m.cause = read.Position, read.Event.Cause()
		if read.Event.Kind() == event.KindMoved {
			m.handle, m.cause = m.cause, 0
		}
	}
	m.payload = bytes.Clone(payload)
	r, _, err := record.Decode(m.payload)
	if err != nil {
		return m, false, err
	}
	properties := record.Properties(r.Properties)
	known := properties.Known()
	m.origin, m.reconsumed = properties.Origin(), r.ReconsumeTimes
	m.Message = Message{
		Topic: string(r.Topic), Queue: r.QueueID, Offset: -1, Position: read.Position, StoredAt: read.Timestamp, State: Stored, Groups: []Group{},
		ID:        string(record.AppendMessageID(nil, r.StoreHost, int64(read.Position))),
		UniqueKey: string(known.UniqueKey), Tags: string(known.Tags), Keys: string(known.Keys),
	}
	if m.handle != 0 {
		m.Topic, m.Queue = m.origin.RealTopic, m.origin.RealQueue
		m.topic, _ = f.Topics.Get(m.Topic)
	} else {
		m.queue, m.cause, m.Offset = read.Event.Queue(), read.Event.Cause(), read.Offset
		m.topic, _ = f.Topics.ByID(m.queue.Topic)
	}
	m.copyFor = f.Names.copyFor(m.Topic)
	return m, true, nil
}

// originOf reads the message that m is a copy of.
func (f *finder) originOf(m *found) (original found, there bool, err error) {
	position, err := record.ParseMessageID(m.origin.ID)
	if err != nil {
		return original, false, nil // a client's id, or none
	}
	err = f.Log.ReadAt(event.Position(position), func(read engine.Message) (err error) {
		if read.Event.Kind() == event.KindMessage {
			original, there, err = f.read(read)
		}
		return err
	})
	there = there && original.ID == m.origin.ID
	if isNotFound(err) {
		err = nil
	}
	if there && err == nil {
		err = f.place(&original)
	}
	return original, there, err
}

// place finds the offset of a message in its queue.
func (f *finder) place(m *found) (err error) {
	if m.Offset >= 0 {
		return nil
	}
	m.Offset, err = f.OffsetOf(m.queue, engine.Message{Position: m.Position, Timestamp: m.StoredAt})
	return err
}

// take adds a message once its state is clear. One that has waited and was
// delivered is the one in its topic.
func (f *finder) take(m found) error {
	switch {
	case slices.ContainsFunc(f.found, func(other found) bool { return other.Position == m.Position }):
		return nil
	case m.handle != 0:
		return f.takeWaited(m)
	case m.Topic == f.Names.GivenUp:
		return f.takeGivenUp(m)
	case m.topic.ID == 0:
		m.State = NoTopic
	case m.copyFor != "":
		m.State = CopyFound
	}
	if m.topic.ID != 0 {
		if err := f.place(&m); err != nil {
			return err
		}
	}
	f.found = append(f.found, m)
	return nil
}

// takeGivenUp takes a message whose outcome nobody has told, or the half message
// that it is again, as an administrator had its check resumed.
func (f *finder) takeGivenUp(m found) error {
	var next found
	resumed := false
	err := f.Log.FindHash(event.CauseHash(m.Position), m.Position, everywhere, func(read engine.Message) (_ bool, err error) {
		if read.Event.Kind() == event.KindHalf && read.Event.Cause() == m.Position {
			next, resumed, err = f.read(read)
		}
		return !resumed, err
	})
	if err != nil {
		return err
	}
	if resumed {
		return f.take(next)
	}
	m.State = GivenUp
	f.found = append(f.found, m)
	return f.place(&f.found[len(f.found)-1])
}

func (f *finder) takeWaited(m found) error {
	entry, waits, err := f.Waiting.Get(m.handle)
	if err != nil {
		return err
	}
	if waits {
		m.State, m.Due, m.Asked = Delayed, entry.Due, entry.Asked
		if entry.Kind == event.KindHalf {
			m.State = Half
		}
		f.found = append(f.found, m)
		return nil
	}
	next, known, err := f.causedBy(m)
	if err != nil {
		return err
	}
	if known {
		return f.take(next)
	}
	m.State = Ended
	err = f.Log.FindHash(event.CauseHash(m.handle), m.handle, everywhere, func(read engine.Message) (bool, error) {
		if read.Event.Cause() != m.handle || read.Event.Kind() != event.KindDropped {
			return true, nil
		}
		drop, err := event.DecodeDrop(read.Event.Payload())
		m.State, m.EndedAt = MessageState(drop.Reason.String()), read.Timestamp
		return false, err
	})
	f.found = append(f.found, m)
	return err
}

// causedBy is the message that one which no longer waits has become: in its
// topic, waiting for its time after its transaction, or given up.
func (f *finder) causedBy(m found) (next found, known bool, err error) {
	if m.UniqueKey == "" {
		return next, false, nil
	}
	list, err := f.messages(m.topic, m.UniqueKey)
	for _, name := range append([]string{f.Names.GivenUp}, f.Names.Waiting...) {
		t, there := f.Topics.Get(name)
		if err != nil || !there {
			continue
		}
		more, wrong := f.withHash(t.ID, m.UniqueKey, m.Position, isRecord)
		list, err = append(list, more...), wrong
	}
	i := slices.IndexFunc(list, func(d found) bool { return d.cause == m.handle })
	if err != nil || i < 0 {
		return next, false, err
	}
	return list[i], true, nil
}

func isRecord(e event.Event) bool {
	return e.Kind() == event.KindMessage || e.Kind().Waits() || e.Kind() == event.KindMoved
}

// messages are the messages of a topic with a unique key, newest first.
func (f *finder) messages(t topic.Topic, key string) ([]found, error) {
	return f.withHash(t.ID, key, 0, func(e event.Event) bool { return e.Kind() == event.KindMessage && e.Topic() == t.ID })
}

// waited are the events of messages that wait, or have waited, in a topic with
// a unique key, newest first. Those that were moved are among them again.
func (f *finder) waited(id event.TopicID, key string, from event.Position) ([]found, error) {
	return f.withHash(id, key, from, func(e event.Event) bool { return e.Kind().Waits() || e.Kind() == event.KindMoved })
}

func (f *finder) withHash(id event.TopicID, key string, from event.Position, wanted func(event.Event) bool) (list []found, err error) {
	left := copiesMax
	err = f.Log.FindHash(event.KeyHash(id, []byte(key)), from, everywhere, func(read engine.Message) (bool, error) {
		if !wanted(read.Event) {
			left--
			return left > 0, nil
		}
		m, ok, err := f.read(read)
		if err != nil {
			return false, err
		}
		if ok && m.UniqueKey == key {
			list = append(list, m)
		}
		left--
		return left > 0, nil
	})
	return list, err
}

// withKey takes the messages of a topic with the id as their unique key, and
// those that wait to be stored there.
func (f *finder) withKey(t topic.Topic) error {
	stored, err := f.messages(t, f.id)
	if err != nil {
		return err
	}
	delivered := map[event.Position]bool{}
	for _, m := range stored {
		delivered[m.cause] = true
		if len(f.found) < MessagesMax {
			if err := f.take(m); err != nil {
				return err
			}
		}
	}
	for _, name := range f.Names.Waiting {
		waitsIn, known := f.Topics.Get(name)
		if !known {
			continue
		}
		waited, err := f.waited(waitsIn.ID, f.id, 0)
		if err != nil {
			return err
		}
		for _, m := range waited {
			delivered[m.cause] = true
			if m.topic.ID != t.ID || delivered[m.handle] || len(f.found) >= MessagesMax {
				continue
			}
			delivered[m.handle] = true
			if err := f.take(m); err != nil {
				return err
			}
		}
	}
	return nil
}

// anywhere searches all topics. Copies count only where nothing else is found.
func (f *finder) anywhere() error {
	var originals, copies []topic.Topic
	for _, t := range f.Topics.All() {
		if f.Names.copyFor(t.Config.Name) != "" {
			copies = append(copies, t)
		} else if !slices.Contains(f.Names.Waiting, t.Config.Name) {
			originals = append(originals, t)
		}
	}
	for _, topics := range [][]topic.Topic{originals, copies} {
		if len(f.found) > 0 {
			return nil
		}
		if len(topics) > TopicsMax {
			return ErrTooManyTopics
		}
		for _, t := range topics {
			if err := f.withKey(t); err != nil {
				return err
			}
		}
	}
	return nil
}
