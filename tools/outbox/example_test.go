package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"os"

	"github.com/apogeemq/apogee/tools/outbox"
	"github.com/apogeemq/apogee/tools/outbox/local"
)

// cluster stands for a sender such as package rocketmq's.
type cluster struct{ away bool }

func (c *cluster) Send(_ context.Context, m *outbox.Message) (outbox.Receipt, error) {
	if c.away {
		return outbox.Receipt{}, fmt.Errorf("%w: connection refused", outbox.ErrNotAccepted)
	}
	return outbox.Receipt{Broker: "broker-a", Queue: 1}, nil
}

func Example() {
	dir, err := os.MkdirTemp("", "outbox-")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	spool, err := local.Open(local.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	sender := &cluster{}
	box := outbox.Open(sender, spool, outbox.Options{})

	m := &outbox.Message{Topic: "orders", Tags: "paid", ShardingKey: "customer-7", Body: []byte(`{"order":1}`)}
	result, receipt, err := box.Send(context.Background(), m)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result, "to", receipt.Broker)

	box.Close() // first the outbox, then its spool
	if err := spool.Close(); err != nil {
		log.Fatal(err)
	}
	// Output: delivered to broker-a
}

// What each end of Send means to its caller.
func ExampleOutbox_Send() {
	dir, err := os.MkdirTemp("", "outbox-")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	spool, err := local.Open(local.Options{Dir: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = spool.Close() }()
	box := outbox.Open(&cluster{away: true}, spool, outbox.Options{})
	defer box.Close()

	for _, m := range []*outbox.Message{
		{Topic: "orders", Body: []byte("1")},
		{Topic: "not a topic", Body: []byte("2")},
	} {
		switch result, _, err := box.Send(context.Background(), m); {
		case err == nil:
			fmt.Println(result) // it is safe: with a broker, or on this disk
		case errors.Is(err, outbox.ErrRefused):
			fmt.Println("the message is wrong")
		case errors.Is(err, outbox.ErrFull):
			fmt.Println("slow down: nothing was kept")
		default:
			fmt.Println("the disk:", err)
		}
	}
	// Output:
	// spooled
	// the message is wrong
}
