package rocketmq_test

import (
	"context"
	"log"

	"github.com/apache/rocketmq-client-go/v2/producer"

	"github.com/apogeemq/apogee/tools/outbox"
	"github.com/apogeemq/apogee/tools/outbox/local"
	"github.com/apogeemq/apogee/tools/outbox/rocketmq"
)

// An outbox that sends with the official client.
func Example() {
	sender, err := rocketmq.Open(producer.WithNameServer([]string{"127.0.0.1:9876"}), producer.WithGroupName("shop"))
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = sender.Close() }()
	spool, err := local.Open(local.Options{Dir: "outbox"})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = spool.Close() }()
	box := outbox.Open(sender, spool, outbox.Options{})
	defer box.Close()

	m := &outbox.Message{Topic: "orders", ShardingKey: "customer-7", Body: []byte("bought something")}
	result, _, err := box.Send(context.Background(), m)
	if err != nil {
		log.Fatal(err)
	}
	log.Println(m.ID, result) // delivered, or spooled
}
