package settlement

import "github.com/apogeemq/apogee/engine/event"

// Record is the record of a waiting message, from the event at its entry's
// location: the first copy, or one that was moved. It aliases the event.
func Record(e event.Event) ([]byte, error) {
	if e.Kind() != event.KindMoved {
		return e.Payload(), nil
	}
	m, err := event.DecodeMove(e.Payload())
	return m.Payload, err
}
