package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

const accounts = `
accounts:
  - accessKey: shopping
    secretKey: shopping-secret
    topicPerms: [orders=PUB|SUB, invoices=SUB]
    groupPerms: [warehouse=SUB]
  - accessKey: operator
    secretKey: operator-secret
    admin: true
`

var shop = primitive.Credentials{AccessKey: "shopping", SecretKey: "shopping-secret"}

// guardedServer is a server with accounts.
func guardedServer(t *testing.T) (*server, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "plain_acl.yml")
	if err := os.WriteFile(path, []byte(accounts), 0o600); err != nil {
		t.Fatal(err)
	}
	return startServer(t, "aclEnable=true", "aclFile="+path), path
}

// producerOf starts an official producer with credentials.
func producerOf(t *testing.T, s *server, who primitive.Credentials) rocketmq.Producer {
	t.Helper()
	p, err := rocketmq.NewProducer(producer.WithNameServer([]string{s.nameserverAddress()}), producer.WithRetry(0),
		producer.WithInstanceName(instance()), producer.WithGroupName("e2e-producer"), producer.WithCredentials(who))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Shutdown() })
	return p
}

func TestTheOfficialClientSignsAndIsPermittedWhatItsAccountIs(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	s, _ := guardedServer(t)
	p := producerOf(t, s, shop)
	bodies := numbered("guarded", 20)
	sendAll(t, p, messagesOf("orders", bodies)...)

	c, err := rocketmq.NewPushConsumer(consumer.WithNameServer([]string{s.nameserverAddress()}), consumer.WithGroupName("warehouse"),
		consumer.WithInstance(instance()), consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset), consumer.WithCredentials(shop))
	if err != nil {
		t.Fatal(err)
	}
	in := &inbox{t: t, consumer: c}
	if err := c.Subscribe("orders", consumer.MessageSelector{}, in.take); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(in.close)
	in.expect(bodies...)

	if _, err := p.SendSync(t.Context(), primitive.NewMessage("invoices", []byte("no"))); err == nil || !strings.Contains(err.Error(), "no permission for topic invoices") {
		t.Errorf("a send to a topic that may be read only: %v", err)
	}
}

func TestTheOfficialClientIsRefusedWithoutTheRightKey(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	s, path := guardedServer(t)
	p := producerOf(t, s, shop)
	sendAll(t, p, messagesOf("orders", numbered("before", 1))...)
	changed := strings.ReplaceAll(accounts, "shopping-secret", "another-secret")
	if err := os.WriteFile(path, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the old key is refused", func() error {
		_, err := p.SendSync(t.Context(), primitive.NewMessage("orders", []byte("after")))
		if err == nil || !strings.Contains(err.Error(), "check signature failed") {
			return fmt.Errorf("send: %w", err)
		}
		return nil
	})
}
