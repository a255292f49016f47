package e2e

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/apogeemq/apogee/server/broker/record"
)

// found is a message as it was read back.
type found struct {
	writer    uint32
	number    uint64
	queue     int
	offset    int64
	position  int64
	timestamp int64
}

// readBack reads all queues of a topic, each from its first offset on.
func readBack(p *peer, topic string, queues int) ([][]found, error) {
	read := make([][]found, queues)
	var readers errgroup.Group
	for queue := range queues {
		readers.Go(func() error {
			return p.readQueue(topic, queue, func(r record.Record) error {
				id, number, err := identify(r.Body)
				if err != nil {
					return err
				}
				read[queue] = append(read[queue], found{id, number, int(r.QueueID), r.QueueOffset, r.Position, r.StoreTimestamp})
				return nil
			})
		})
	}
	return read, readers.Wait()
}

// judge compares what was read with what the writers know: every receipt is
// kept, nothing is there twice, nothing is there that was never sent, offsets
// are dense and each writer's messages are in order.
func judge(read [][]found, writers []*writer) error {
	j := &judgement{writers: map[uint32]*writer{}, seen: map[messageName]found{}}
	for _, w := range writers {
		j.writers[w.id] = w
	}
	for queue, list := range read {
		j.queue(queue, list)
	}
	for _, w := range writers {
		j.promises(w)
	}
	return errors.Join(j.faults...)
}

type messageName struct {
	writer uint32
	number uint64
}

type judgement struct {
	writers map[uint32]*writer
	seen    map[messageName]found
	faults  []error
}

func (j *judgement) fault(format string, args ...any) {
	const enough = 20
	if len(j.faults) < enough {
		j.faults = append(j.faults, fmt.Errorf(format, args...))
	}
}

func (j *judgement) queue(queue int, list []found) {
	last := map[uint32]uint64{} // number after the last one of each writer
	before := found{position: -1}
	for i, m := range list {
		if m.queue != queue || m.offset != int64(i) {
			j.fault("queue %d: at offset %d stands a message of queue %d, offset %d", queue, i, m.queue, m.offset)
		}
		if m.position <= before.position || m.timestamp < before.timestamp {
			j.fault("queue %d offset %d: position %d and time %d come after %d and %d",
				queue, i, m.position, m.timestamp, before.position, before.timestamp)
		}
		before = m
		w := j.writers[m.writer]
		if w == nil || m.number >= w.sent {
			j.fault("queue %d offset %d: message %d of writer %d was never sent", queue, i, m.number, m.writer)
			continue
		}
		if w.queues > 0 && int(m.number%uint64(w.queues)) != queue {
			j.fault("queue %d offset %d: message %d of writer %d was sent to another queue", queue, i, m.number, m.writer)
		}
		if m.number < last[m.writer] {
			j.fault("queue %d offset %d: message %d of writer %d stands behind its message %d",
				queue, i, m.number, m.writer, last[m.writer]-1)
		}
		last[m.writer] = m.number + 1
		name := messageName{m.writer, m.number}
		if twin, twice := j.seen[name]; twice {
			j.fault("message %d of writer %d is there twice: %+v and %+v", m.number, m.writer, twin, m)
		}
		j.seen[name] = m
	}
}

func (j *judgement) promises(w *writer) {
	for number, r := range w.receipts {
		m, there := j.seen[messageName{w.id, number}]
		switch {
		case !there:
			j.fault("message %d of writer %d is lost: SEND_OK said queue %d, offset %d, position %d", number, w.id, r.queue, r.offset, r.position)
		case m.queue != r.queue || m.offset != r.offset || m.position != r.position:
			j.fault("message %d of writer %d: SEND_OK said %+v, it is %+v", number, w.id, r, m)
		}
	}
	for number, code := range w.refused {
		if m, there := j.seen[messageName{w.id, number}]; there {
			j.fault("message %d of writer %d was refused with code %d and is stored: %+v", number, w.id, code, m)
		}
	}
}

func TestTheJudgeFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	// Writer 1 writes to any queue, writer 2 to queue n modulo 2.
	good := func() [][]found {
		return [][]found{
			{{1, 0, 0, 0, 10, 5}, {2, 0, 0, 1, 30, 5}, {2, 2, 0, 2, 40, 6}},
			{{2, 1, 1, 0, 20, 5}, {1, 1, 1, 1, 50, 7}},
		}
	}
	writers := func() []*writer {
		one, two := newWriter(1, 0), newWriter(2, 2)
		one.sent, two.sent = 3, 5
		one.receipts[1] = receipt{1, 1, 50}
		two.receipts[2] = receipt{0, 2, 40}
		two.refused[4] = 2
		return []*writer{one, two}
	}
	if err := judge(good(), writers()); err != nil {
		t.Fatalf("nothing is wrong: %v", err)
	}
	for want, spoil := range maps.All(map[string]func(q [][]found){
		"is lost":                   func(q [][]found) { q[1] = q[1][:1] },
		"SEND_OK said":              func(q [][]found) { q[1][1].position++ },
		"of queue 0, offset 3":      func(q [][]found) { q[0][2].offset++ },
		"there twice":               func(q [][]found) { q[1][0] = found{1, 1, 1, 0, 20, 5} },
		"never sent":                func(q [][]found) { q[1][0].number = 5 },
		"sent to another queue":     func(q [][]found) { q[1][0].number = 0 },
		"stands behind its message": func(q [][]found) { q[0][1].number, q[0][2].number = 2, 0 },
		"position 40 and time 6":    func(q [][]found) { q[0][1].position = 41 },
		"was refused":               func(q [][]found) { q[0] = append(q[0], found{2, 4, 0, 3, 60, 8}) },
	}) {
		q := good()
		spoil(q)
		if err := judge(q, writers()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want a fault with %q, got %v", want, err)
		}
	}
}
