//go:build linux

package table_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"path/filepath"

	_ "modernc.org/sqlite"

	"github.com/apogeemq/apogee/tools/outbox"
	"github.com/apogeemq/apogee/tools/outbox/table"
)

// printer stands for a sender such as package rocketmq's.
type printer struct{ sent chan struct{} }

func (p printer) Send(_ context.Context, m *outbox.Message) (outbox.Receipt, error) {
	fmt.Printf("sent to %s: %s\n", m.Topic, m.Body)
	close(p.sent)
	return outbox.Receipt{}, nil
}

// An order and the message about it are written in one transaction.
func Example() {
	dir, err := os.MkdirTemp("", "shop-")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "shop.db")+"?_pragma=busy_timeout(5000)&_txlock=immediate")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if _, err := db.Exec("CREATE TABLE orders (id INTEGER PRIMARY KEY, customer TEXT)"); err != nil {
		log.Fatal(err)
	}

	messages, err := table.New(table.SQLite, "")
	if err != nil {
		log.Fatal(err)
	}
	if err := messages.Create(context.Background(), db); err != nil {
		log.Fatal(err)
	}

	sender := printer{make(chan struct{})}
	relay := messages.Relay(db, sender, table.RelayOptions{})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		relay.Run(ctx)
	}()

	if err := buy(ctx, db, messages, "customer-7"); err != nil {
		log.Fatal(err)
	}
	relay.Wake() // or it is found within the interval

	<-sender.sent
	stop()
	<-ended
	left, err := messages.Backlog(context.Background(), db)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("waiting:", left.Waiting)
	// Output:
	// sent to orders: customer-7 bought something
	// waiting: 0
}

func buy(ctx context.Context, db *sql.DB, messages *table.Table, customer string) error {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	if _, err := tx.ExecContext(ctx, "INSERT INTO orders (customer) VALUES (?)", customer); err != nil {
		return err
	}
	m := &outbox.Message{Topic: "orders", ShardingKey: customer, Body: []byte(customer + " bought something")}
	if err := messages.Enqueue(ctx, tx, m); err != nil {
		return err
	}
	return tx.Commit()
}
