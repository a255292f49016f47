package broker

import (
	"encoding/json"

	"github.com/apogeemq/apogee/server/remoting"
)

// changeListMax bounds the topics or groups of one request.
const changeListMax = 1 << 9

// readChangeList reads the list that a body has under a name. read makes one
// element of its JSON, with defaults for what that leaves out.
func readChangeList[T any](body []byte, name string, read func(element []byte) (T, error)) ([]T, error) {
	var lists map[string]json.RawMessage
	var elements []json.RawMessage
	err := json.Unmarshal(body, &lists)
	if list, given := lists[name]; err == nil && given {
		err = json.Unmarshal(list, &elements)
	}
	if err != nil {
		return nil, refuse(remoting.ResponseInvalidParameter, "the body can't be read: %v", err)
	}
	if len(elements) > changeListMax {
		return nil, refuse(remoting.ResponseInvalidParameter, "%s has %d elements, at most %d are allowed", name, len(elements), changeListMax)
	}
	changes := make([]T, len(elements))
	for i := range changes {
		if changes[i], err = read(elements[i]); err != nil {
			return nil, err
		}
	}
	return changes, nil
}

// checkedChange is a change of a topic's or a group's settings that is allowed.
type checkedChange[S any] struct {
	settings S
	edits    []attributeEdit
}

// changeAll makes all changes, or none if check refuses one, and answers when
// they are applied.
func changeAll[T, S any](b *Broker, rt remoting.ReplyTo, changes []T, check func(*T) (S, []attributeEdit, error),
	apply func(S, []attributeEdit, func(error))) {
	checked := make([]checkedChange[S], len(changes))
	for i := range changes {
		settings, edits, err := check(&changes[i])
		if err != nil {
			b.answerError(rt, err)
			return
		}
		checked[i] = checkedChange[S]{settings, edits}
	}
	done := b.answerAfter(rt, len(checked))
	for _, c := range checked {
		apply(c.settings, c.edits, done)
	}
}
