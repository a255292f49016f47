package e2e

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	rocketmq "github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"

	"github.com/apogeemq/apogee/server/remoting"
)

// transactionSettings let checks come soon.
var transactionSettings = []string{"transactionTimeOut=1000", "transactionCheckInterval=1000", "transactionCheckMax=1000"}

// ledger decides local transactions.
type ledger struct {
	execute func(body string) primitive.LocalTransactionState
	check   func(body string) primitive.LocalTransactionState

	mu      sync.Mutex
	checked []string
}

// ExecuteLocalTransaction runs when the half message is stored.
func (a *ledger) ExecuteLocalTransaction(m *primitive.Message) primitive.LocalTransactionState {
	return a.execute(string(m.Body))
}

// CheckLocalTransaction runs when the broker asks.
func (a *ledger) CheckLocalTransaction(m *primitive.MessageExt) primitive.LocalTransactionState {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.checked = append(a.checked, fmt.Sprintf("%s of %s", m.Body, m.Topic))
	return a.check(string(m.Body))
}

// asked tells what was asked for, each once.
func (a *ledger) asked() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Compact(slices.Sorted(slices.Values(a.checked)))
}

func always(s primitive.LocalTransactionState) func(string) primitive.LocalTransactionState {
	return func(string) primitive.LocalTransactionState { return s }
}

// transactionGroup is the group of a test's producers: the broker may ask any
// of a group for the outcome of a transaction.
func transactionGroup(t *testing.T) string {
	return "e2e-" + strings.ReplaceAll(t.Name(), "/", "-")
}

// newTransactionProducer starts an official producer of one group.
func newTransactionProducer(t *testing.T, s *server, a *ledger) rocketmq.TransactionProducer {
	t.Helper()
	p, err := rocketmq.NewTransactionProducer(a, producer.WithNameServer([]string{s.nameserverAddress()}), producer.WithRetry(0),
		producer.WithInstanceName(instance()), producer.WithGroupName(transactionGroup(t)), producer.WithSendMsgTimeout(patience))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Shutdown() })
	return p
}

func transact(t *testing.T, p rocketmq.TransactionProducer, messages ...*primitive.Message) {
	t.Helper()
	for _, m := range messages {
		if result, err := p.SendMessageInTransaction(t.Context(), m); err != nil || result.Status != primitive.SendOK {
			t.Fatalf("send %q: %v, %v", m.Body, result, err)
		}
	}
}

// createTopic makes a topic that consumers find at once.
func createTopic(t *testing.T, s *server, topic string) {
	t.Helper()
	dial(t, s.brokerAddress()).must(remoting.RequestUpdateAndCreateTopic, "topic", topic, "defaultTopic", "TBW102",
		"readQueueNums", "2", "writeQueueNums", "2", "perm", "6", "topicFilterType", "SINGLE_TAG", "topicSysFlag", "0", "order", "false")
	awaitRoute(t, s, topic)
}

// metricsOf is what the server tells about itself.
func metricsOf(t *testing.T, s *server) string {
	t.Helper()
	client := http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	response, err := client.Get("http://" + loopback(s.ports.admin()) + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// awaitNoHalves waits until all transactions have ended.
func awaitNoHalves(t *testing.T, s *server) {
	t.Helper()
	eventually(t, "all transactions end", func() error {
		if text := metricsOf(t, s); !strings.Contains(text, "\napogee_broker_half_messages 0\n") {
			return fmt.Errorf("half messages wait")
		}
		return nil
	})
}

func TestTransactionsOfTheOfficialProducerEndAsItDecides(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	s := startServer(t, transactionSettings...)
	const topic, count = "e2e-transactions", 10
	createTopic(t, s, topic)
	in := newInbox(t, s, "e2e-transactions-group", topic, "*")
	commit, rollback := numbered("commit", count), numbered("rollback", count)
	later, never := numbered("later", count), numbered("never", count)
	a := &ledger{}
	a.execute = func(body string) primitive.LocalTransactionState {
		return map[string]primitive.LocalTransactionState{"commit": primitive.CommitMessageState, "rollback": primitive.RollbackMessageState,
			"later": primitive.UnknowState, "never": primitive.UnknowState}[body[:strings.Index(body, "-")]]
	}
	a.check = func(body string) primitive.LocalTransactionState {
		if strings.HasPrefix(body, "later") {
			return primitive.CommitMessageState
		}
		return primitive.RollbackMessageState
	}
	p := newTransactionProducer(t, s, a)
	transact(t, p, messagesOf(topic, slices.Concat(commit, rollback, later, never))...)
	in.expect(slices.Concat(commit, later)...)
	awaitNoHalves(t, s)
	in.expect(slices.Concat(commit, later)...)
	for _, body := range slices.Concat(later, never) {
		if !slices.Contains(a.asked(), body+" of "+topic) {
			t.Errorf("nobody asked for %s", body)
		}
	}
	for _, m := range in.messages() {
		if m.GetProperty(primitive.PropertyTransactionPrepared) != "true" || m.PreparedTransactionOffset == 0 {
			t.Errorf("message %q: properties %v, prepared at %d", m.Body, m.GetProperties(), m.PreparedTransactionOffset)
		}
	}
}

func TestACommitAfterAKillIsDeliveredOnce(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	commitOverCrashes(t, alone(t, transactionSettings...))
}

func commitOverCrashes(t *testing.T, s world) {
	const topic = "e2e-transactions-killed"
	createTopic(t, s.server, topic)
	stored, restarted := make(chan struct{}), make(chan struct{})
	a := &ledger{check: always(primitive.CommitMessageState)}
	a.execute = func(string) primitive.LocalTransactionState {
		close(stored)
		<-restarted
		return primitive.CommitMessageState
	}
	p := newTransactionProducer(t, s.server, a)
	sent := make(chan error, 1)
	var half *primitive.TransactionSendResult
	go func() {
		var err error
		half, err = p.SendMessageInTransaction(t.Context(), primitive.NewMessage(topic, []byte("once")))
		sent <- err
	}()
	await(t, "local transaction", stored)
	s.crash(t)
	close(restarted)
	if err := await(t, "end of the send", sent); err != nil {
		t.Fatal(err)
	}
	in := newInbox(t, s.server, "e2e-transactions-killed-group", topic, "*")
	in.expect("once")
	awaitNoHalves(t, s.server)
	commitAgain(t, s.server, half)
	s.crash(t)
	awaitRoute(t, s.server, topic)
	awaitNoHalves(t, s.server)
	commitAgain(t, s.server, half)
	newInbox(t, s.server, "e2e-transactions-killed-again", topic, "*").expect("once")
	if n := dial(t, s.brokerAddress()).stored(topic, 2); n != 1 {
		t.Errorf("%d messages are stored", n)
	}
}

// commitAgain ends a transaction once more, as a producer does that got no
// answer.
func commitAgain(t *testing.T, s *server, half *primitive.TransactionSendResult) {
	t.Helper()
	const commit = 8
	id, err := primitive.UnmarshalMsgID([]byte(half.OffsetMsgID))
	if err != nil {
		t.Fatal(err)
	}
	dial(t, s.brokerAddress()).ask(remoting.RequestEndTransaction, "producerGroup", transactionGroup(t),
		"tranStateTableOffset", fmt.Sprint(half.QueueOffset), "commitLogOffset", fmt.Sprint(id.Offset), "commitOrRollback", fmt.Sprint(commit),
		"fromTransactionCheck", "false", "msgId", half.MsgID, "transactionId", half.TransactionID)
}

func TestAnotherProducerOfTheGroupAnswersForOneThatIsGone(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	anotherAnswers(t, alone(t, transactionSettings...))
}

func anotherAnswers(t *testing.T, s world) {
	const topic = "e2e-transactions-left"
	createTopic(t, s.server, topic)
	bodies := numbered("left", 5)
	first := newTransactionProducer(t, s.server, &ledger{execute: always(primitive.UnknowState), check: always(primitive.UnknowState)})
	transact(t, first, messagesOf(topic, bodies)...)
	if err := first.Shutdown(); err != nil {
		t.Fatal(err)
	}
	s.crash(t)
	second := &ledger{execute: always(primitive.UnknowState)}
	second.check = func(body string) primitive.LocalTransactionState {
		if body == bodies[0] {
			return primitive.RollbackMessageState
		}
		return primitive.CommitMessageState
	}
	p := newTransactionProducer(t, s.server, second)
	// A producer sends heartbeats to brokers that it has sent to.
	transact(t, p, primitive.NewMessage(topic, []byte("of the second")))
	awaitNoHalves(t, s.server)
	newInbox(t, s.server, "e2e-transactions-left-group", topic, "*").expect(append(bodies[1:], "of the second")...)
	if got := second.asked(); len(got) != len(bodies)+1 {
		t.Errorf("the second producer was asked for %q", got)
	}
}
