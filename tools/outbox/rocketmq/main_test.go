package rocketmq

import (
	"testing"

	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

func init() { rlog.SetLogLevel("fatal") }

// open starts a sender with one nameserver. Its instance is its own: the
// client shares connections among producers of the same instance.
func open(t *testing.T, nameserver string) *Sender {
	t.Helper()
	s, err := Open(producer.WithNameServer([]string{nameserver}), producer.WithGroupName("outbox"),
		producer.WithInstanceName(t.Name()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}
