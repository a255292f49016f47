package track

import (
	"cmp"
	"slices"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
)

// deliveriesShown bounds the deliveries of one message that are told: the
// newest.
const deliveriesShown = 16

// deliveries finds out to whom and when a group's message at an offset was sent:
// the newest, in the order of time. Only groups that have trackDelivery, or had
// it then, have any.
func (f *finder) deliveries(group string, q event.Queue, o event.Offset, stored event.Position) ([]Delivery, error) {
	var list []Delivery
	left := eventsPerSearch
	err := f.Log.FindHash(event.DeliveryHash(group, q, o), stored, everywhere, func(m engine.Message) (bool, error) {
		left--
		if m.Event.Kind() != event.KindDelivered {
			return left > 0, nil
		}
		deliveries, err := event.DecodeDeliveries(m.Event.Payload())
		if err != nil {
			return false, err
		}
		for i := range deliveries {
			if d := &deliveries[i]; d.Group == group && d.Queue == q && d.First <= o && o < d.Next {
				list = append(list, Delivery{Client: d.Client, Since: d.Since, Until: d.Since + int64(d.Span), Gaps: d.Messages < uint64(d.Next-d.First)})
			}
		}
		return left > 0 && len(list) < deliveriesShown, nil
	})
	slices.SortFunc(list, func(a, b Delivery) int { return cmp.Or(cmp.Compare(a.Since, b.Since), cmp.Compare(a.Client, b.Client)) })
	return list, err
}

// certain reports whether the message was one of those that were sent.
func certain(list []Delivery) bool {
	return slices.ContainsFunc(list, func(d Delivery) bool { return !d.Gaps })
}
