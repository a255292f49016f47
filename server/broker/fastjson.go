package broker

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// fastJSON writes what encoding/json can't: maps whose keys are queues or
// numbers, as RocketMQ's JSON library writes them. That is no legal JSON, but
// all clients and tools read it.
type fastJSON struct {
	text []byte
	err  error
}

func (f *fastJSON) raw(text string) *fastJSON {
	f.text = append(f.text, text...)
	return f
}

// value appends a value that encoding/json can write.
func (f *fastJSON) value(v any) *fastJSON {
	encoded, err := encodeJSON(v)
	if err != nil && f.err == nil {
		f.err = err
	}
	f.text = append(f.text, encoded...)
	return f
}

// queueTable appends a map by queue; each value is written by encoding/json.
func queueTable[V any](f *fastJSON, table []queueEntry[V]) {
	f.raw("{")
	for i := range table {
		if i > 0 {
			f.raw(",")
		}
		f.value(table[i].queue).raw(":").value(table[i].value)
	}
	f.raw("}")
}

// queueEntry is one entry of a map by queue.
type queueEntry[V any] struct {
	queue messageQueue
	value V
}

// numberTable appends a map from numbers to numbers, sorted.
func (f *fastJSON) numberTable(table map[uint32]int64) *fastJSON {
	keys := make([]uint32, 0, len(table))
	for k := range table {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	f.raw("{")
	for i, k := range keys {
		if i > 0 {
			f.raw(",")
		}
		f.text = strconv.AppendUint(f.text, uint64(k), 10)
		f.raw(":")
		f.text = strconv.AppendInt(f.text, table[k], 10)
	}
	return f.raw("}")
}

// javaDouble is a number as Java prints a double: with a point.
type javaDouble float64

// MarshalJSON writes the number.
func (d javaDouble) MarshalJSON() ([]byte, error) {
	text := strconv.FormatFloat(float64(d), 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return []byte(text), nil
}

var _ json.Marshaler = javaDouble(0)
