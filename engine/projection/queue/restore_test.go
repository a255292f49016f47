package queue_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
	"github.com/apogeemq/apogee/engine/projection/queue"
)

// fields lays out a checkpoint of numbers of 4 and 8 bytes.
func fields(values ...any) []byte {
	var b []byte
	for _, v := range values {
		switch v := v.(type) {
		case int:
			b = binary.LittleEndian.AppendUint32(b, uint32(v))
		case uint64:
			b = binary.LittleEndian.AppendUint64(b, v)
		}
	}
	return b
}

func TestRestoreNamesWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	for want, b := range map[string][]byte{
		"byte 4: format 2, this version reads 1": fields(2, 0),
		"queue 1/2 comes after 1/2":              fields(1, 2, 1, 2, uint64(0), uint64(0), 1, 2, uint64(0), uint64(0)),
		"queue 1/1 comes after 1/2":              fields(1, 2, 1, 2, uint64(0), uint64(0), 1, 1, uint64(0), uint64(0)),
		"next offset 9223372036854775808":        fields(1, 1, 1, 2, uint64(1<<63), uint64(0)),
		"byte 8: the checkpoint ends here":       fields(1, 1<<30),
		"bytes follow the end":                   fields(1, 0, 0),
	} {
		if err := queue.New(1).Restore(bytes.NewReader(b)); !errors.Is(err, projection.ErrCorrupt) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, expected ErrCorrupt with %q", err, want)
		}
	}
	x := queue.New(1)
	if err := x.Restore(bytes.NewReader(fields(1, 1, 1, 2, uint64(7), uint64(5)))); err != nil {
		t.Errorf("one queue that makes sense: %v", err)
	}
	if first, next := x.Bounds(event.Queue{Topic: 1, ID: 2}); first != 7 || next != 7 {
		t.Errorf("restored bounds %d, %d", first, next)
	}
}
