package engine_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
)

// open opens an engine in a folder, creating the log where there is none.
func open(folder string) *engine.Engine {
	d, err := disk.Open(folder)
	if err != nil {
		log.Fatal(err)
	}
	create := commitlog.Creation{Configuration: []byte("this program alone"), Timestamp: time.Now().UnixMilli()}
	rand.Read(create.Meta.Log[:])
	e, _, err := engine.Open(engine.Options{
		Log: commitlog.Options{Disk: d, Create: create, SegmentBytes: 16 << 20},
	})
	if err != nil {
		log.Fatal(err)
	}
	return e
}

func message(q event.Queue, text string) event.Draft {
	return event.Draft{
		Kind: event.KindMessage, Stream: event.StreamQueue, Topic: q.Topic, Queue: q.ID,
		Keys: []uint64{event.KeyHash(q.Topic, []byte("order-7"))}, Payload: event.Bytes(text),
	}
}

// Everything that was appended is there when the log is opened again.
func ExampleOpen() {
	folder, err := os.MkdirTemp("", "engine")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	q := event.Queue{Topic: 1, ID: 0}
	e := open(folder)
	if _, err := e.AppendWait(context.Background(), 1, message(q, "first"), message(q, "second")); err != nil {
		log.Fatal(err)
	}
	if err := e.Close(); err != nil {
		log.Fatal(err)
	}
	e = open(folder)
	defer e.Close()
	fmt.Println(e.Bounds(q))
	// Output: 0 2
}

func ExampleEngine_ReadQueue() {
	folder, err := os.MkdirTemp("", "engine")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	q := event.Queue{Topic: 1, ID: 3}
	e := open(folder)
	defer e.Close()
	for _, text := range []string{"a", "b", "c"} {
		if _, err := e.AppendWait(context.Background(), time.Now().UnixMilli(), message(q, text)); err != nil {
			log.Fatal(err)
		}
	}
	limits := engine.ReadLimits{Count: 10, Bytes: 1 << 20, Scan: 1000}
	next, err := e.ReadQueue(q, 1, limits, nil, func(m engine.Message) error {
		fmt.Printf("%d %s\n", m.Offset, m.Event.Payload())
		return nil
	})
	fmt.Println("go on from", next, err)
	// Output:
	// 1 b
	// 2 c
	// go on from 3 <nil>
}

func ExampleEngine_FindKey() {
	folder, err := os.MkdirTemp("", "engine")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	e := open(folder)
	defer e.Close()
	for n := range 5 {
		q := event.Queue{Topic: 1, ID: uint32(n)}
		if _, err := e.AppendWait(context.Background(), int64(n), message(q, fmt.Sprint("step ", n, " of order-7"))); err != nil {
			log.Fatal(err)
		}
	}
	err = e.FindKey(1, []byte("order-7"), 0, time.Now().UnixMilli(), 2, func(m engine.Message) bool {
		fmt.Printf("queue %d: %s\n", m.Event.Queue().ID, m.Event.Payload())
		return true // a payload that names another key would be a collision: false
	})
	fmt.Println(err)
	// Output:
	// queue 4: step 4 of order-7
	// queue 3: step 3 of order-7
	// <nil>
}

func ExampleEngine_Follow() {
	folder, err := os.MkdirTemp("", "engine")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	e := open(folder)
	defer e.Close()
	if _, err := e.Append(time.Now().UnixMilli(), message(event.Queue{Topic: 1}, "hello"), message(event.Queue{Topic: 2}, "world")); err != nil {
		log.Fatal(err)
	}
	enough := errors.New("seen enough")
	err = e.Follow(context.Background(), 1, func(frame event.Index, m engine.Message) error {
		fmt.Printf("frame %d: %s\n", frame, m.Event.Payload())
		if m.Event.Topic() == 2 {
			return enough
		}
		return nil
	})
	fmt.Println(errors.Is(err, enough))
	// Output:
	// frame 2: hello
	// frame 2: world
	// true
}
