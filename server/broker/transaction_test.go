package broker

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/pending"
	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
)

// halfFields are the header of a transactional send to a queue of T.
func halfFields(queueID int, unique string, more ...string) fields {
	properties := "UNIQ_KEY\x01" + unique + "\x02TRAN_MSG\x01true\x02PGROUP\x01PG\x02TAGS\x01TagA\x02" + strings.Join(more, "")
	return sendFields(queueID).with("f", "4").with("i", properties)
}

// sendHalf stores a half message and returns its answer.
func (h *harness) sendHalf(queueID int, unique string, more ...string) *remoting.Command {
	h.Helper()
	got := h.want(h.call(remoting.RequestSendMessageV2, halfFields(queueID, unique, more...), []byte("body of "+unique)), remoting.ResponseSuccess)
	return got.Clone()
}

// handleOf is the position in the answer to a send.
func (h *harness) handleOf(answer *remoting.Command) event.Position {
	h.Helper()
	position, err := record.ParseMessageID(answer.Text("msgId"))
	if err != nil {
		h.Fatal(err)
	}
	return event.Position(position)
}

const (
	endCommit   = "8"
	endRollback = "12"
)

// endFields are the header of END_TRANSACTION as a producer sends it.
func (h *harness) endFields(answer *remoting.Command, outcome string) fields {
	h.Helper()
	return fields{
		"producerGroup": "PG", "tranStateTableOffset": answer.Text("queueOffset"), "commitLogOffset": strconv.FormatUint(uint64(h.handleOf(answer)), 10),
		"commitOrRollback": outcome, "fromTransactionCheck": "false", "msgId": answer.Text("transactionId"), "transactionId": answer.Text("transactionId"),
	}
}

func (h *harness) end(answer *remoting.Command, outcome string) *remoting.Command {
	h.Helper()
	return h.call(remoting.RequestEndTransaction, h.endFields(answer, outcome), nil)
}

// halves counts the half messages that wait.
func (h *harness) halves() int64 { return h.broker.waiting.Counts().Half }

// pullAll is the records in a queue of a topic.
func (h *harness) pullAll(topic string, queueID int) []record.Record {
	h.Helper()
	got := h.call(remoting.RequestPullMessage, pullFields(queueID, 0).with("topic", topic).with("sysFlag", "4").with("suspendTimeoutMillis", "0"), nil)
	if got.Code == remoting.ResponsePullNotFound {
		return nil
	}
	return h.decodeAll(h.want(got, remoting.ResponseSuccess).Clone().Body)
}

func properties(r record.Record) map[string]string {
	all := map[string]string{}
	for name, value := range record.Properties(r.Properties).All() {
		all[string(name)] = string(value)
	}
	return all
}

func TestAHalfMessageIsInvisibleUntilItsCommitWhichDeliversItOnce(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.send(2, "TagA", "first")
	answer := h.sendHalf(2, "H1")
	if answer.Text("queueId") != "2" || answer.Text("queueOffset") != "0" || answer.Text("transactionId") != "H1" {
		t.Errorf("queue %s, offset %s, transaction %s", answer.Text("queueId"), answer.Text("queueOffset"), answer.Text("transactionId"))
	}
	if got := h.pullAll("T", 2); len(got) != 1 {
		t.Fatalf("consumers see %d messages, want the one without a transaction", len(got))
	}
	half := h.pullAll(topicHalf, 0)
	if len(half) != 1 || half[0].SystemFlag != 0 || half[0].Position != int64(h.handleOf(answer)) || string(half[0].Topic) != topicHalf {
		t.Fatalf("the half topic has %+v", half)
	}
	view := h.want(h.call(remoting.RequestViewMessageByID, fields{"offset": fmt.Sprint(half[0].Position)}, nil), remoting.ResponseSuccess)
	if r := h.decodeAll(view.Body); string(r[0].Body) != "body of H1" {
		t.Errorf("the answer's message id names %q", r[0].Body)
	}

	h.want(h.end(answer, endCommit), remoting.ResponseSuccess)
	for range 3 { // a producer that is in doubt commits again
		h.want(h.end(answer, endCommit), remoting.ResponseSystemError)
		h.want(h.end(answer, endRollback), remoting.ResponseSystemError)
	}
	got := h.pullAll("T", 2)
	if len(got) != 2 {
		t.Fatalf("%d messages, want 2: a commit delivers once", len(got))
	}
	r := got[1]
	if string(r.Body) != "body of H1" || string(r.Topic) != "T" || r.QueueID != 2 || r.QueueOffset != 1 ||
		r.SystemFlag != record.FlagCommitted || r.PreparedOffset != half[0].Position || r.BornTimestamp != 1700000000000 {
		t.Errorf("delivered %+v", r)
	}
	p := properties(r)
	for name, want := range map[string]string{"TRAN_MSG": "true", "REAL_TOPIC": "T", "REAL_QID": "2", "PGROUP": "PG",
		"__transactionId__": "H1", "UNIQ_KEY": "H1", "TAGS": "TagA"} {
		if p[name] != want {
			t.Errorf("property %s is %q, want %q", name, p[name], want)
		}
	}
	found := h.call(remoting.RequestQueryMessage, fields{"topic": "T", "key": "H1", "maxNum": "32", "beginTimestamp": "0",
		"endTimestamp": "9999999999999", "_UNIQUE_KEY_QUERY": "true"}, nil)
	if n := len(h.decodeAll(h.want(found, remoting.ResponseSuccess).Body)); n != 1 {
		t.Errorf("%d messages have the unique key", n)
	}
	if n := h.halves(); n != 0 {
		t.Errorf("%d half messages wait", n)
	}
}

func TestARolledBackMessageIsNeverSeenAndAnUnknownOneGoesOnWaiting(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	answer := h.sendHalf(0, "H1")
	h.want(h.end(answer, "0"), remoting.ResponseSuccess)
	if n := h.halves(); n != 1 {
		t.Fatalf("%d half messages wait after an unknown outcome", n)
	}
	h.want(h.end(answer, endRollback), remoting.ResponseSuccess)
	h.want(h.end(answer, endCommit), remoting.ResponseSystemError)
	if got := h.pullAll("T", 0); len(got) != 0 || h.halves() != 0 {
		t.Errorf("%d messages are seen, %d wait", len(got), h.halves())
	}
}

func TestAnEndThatIsNotOfThisMessageChangesNothing(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	plain := h.send(0, "TagA", "plain").Clone()
	answer := h.sendHalf(0, "H1")
	good := h.endFields(answer, endCommit)
	for name, f := range map[string]fields{
		"another group":      good.with("producerGroup", "other"),
		"another unique key": good.with("msgId", "H2"),
		"not a beginning":    good.with("commitLogOffset", fmt.Sprint(h.handleOf(answer)+1)),
		"a plain message":    good.with("commitLogOffset", fmt.Sprint(h.handleOf(plain))),
	} {
		if got := h.call(remoting.RequestEndTransaction, f, nil); got.Code != remoting.ResponseSystemError {
			t.Errorf("%s: code %d, remark %s", name, got.Code, got.Remark)
		}
	}
	for _, f := range []fields{good.with("commitLogOffset", "-1"), good.with("commitLogOffset", "x"), good.with("commitOrRollback", "")} {
		h.want(h.call(remoting.RequestEndTransaction, f, nil), remoting.ResponseInvalidParameter)
	}
	if n := h.halves(); n != 1 {
		t.Fatalf("%d half messages wait", n)
	}
	h.want(h.call(remoting.RequestEndTransaction, good, nil), remoting.ResponseSuccess)
}

// admitAll is access control that lets everybody do everything.
type admitAll struct{}

func (admitAll) Authorize(*remoting.Conn, *remoting.Command) error { return nil }

func TestWithAccessControlAnEndHasToNameItsMessage(t *testing.T) {
	t.Parallel()
	h := startGuarded(t, admitAll{}, nil)
	answer := h.sendHalf(0, "H1")
	for _, outcome := range []string{endCommit, endRollback} {
		h.want(h.call(remoting.RequestEndTransaction, h.endFields(answer, outcome).with("msgId", ""), nil), remoting.ResponseInvalidParameter)
	}
	if n := h.halves(); n != 1 {
		t.Fatalf("%d half messages wait", n)
	}
	h.want(h.end(answer, endCommit), remoting.ResponseSuccess)

	open := start(t, nil)
	answer = open.sendHalf(0, "H1")
	open.want(open.call(remoting.RequestEndTransaction, open.endFields(answer, endCommit).with("msgId", ""), nil), remoting.ResponseSuccess)
}

func TestASecondEndWhileTheFirstIsOnItsWayDoesNothing(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	answer := h.sendHalf(1, "H1")
	h.log.with(func(l *fakeLog) { l.keep = true })
	first := h.begin(h.dial(nil), remoting.RequestEndTransaction, h.endFields(answer, endCommit), nil)
	h.log.waitKept(1)
	h.want(h.end(answer, endCommit), remoting.ResponseSystemError)
	h.want(h.end(answer, endRollback), remoting.ResponseSystemError)
	h.log.release()
	h.want(receive(t, first), remoting.ResponseSuccess)
	if got := h.pullAll("T", 1); len(got) != 1 {
		t.Errorf("%d messages, want 1", len(got))
	}
}

func TestAnEndThatComesBeforeItsMessageIsAppliedWaitsForIt(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.log.with(func(l *fakeLog) { l.keep = true })
	sender := h.dial(nil)
	position := h.log.end()
	sent := h.begin(sender, remoting.RequestSendMessageV2, halfFields(0, "H1"), []byte("b"))
	h.log.waitKept(1)
	ended := h.begin(h.dial(nil), remoting.RequestEndTransaction, fields{"producerGroup": "PG", "commitLogOffset": fmt.Sprint(position),
		"commitOrRollback": endCommit, "msgId": "H1"}, nil)
	h.log.release()
	h.want(receive(t, sent), remoting.ResponseSuccess)
	h.want(receive(t, ended), remoting.ResponseSuccess)
	if got := h.pullAll("T", 0); len(got) != 1 {
		t.Errorf("%d messages, want 1", len(got))
	}
}

func TestAnEndThatCannotBeStoredMayBeSentAgain(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	answer := h.sendHalf(0, "H1")
	h.log.with(func(l *fakeLog) { l.refusal = errStopped })
	h.want(h.end(answer, endCommit), remoting.ResponseServiceNotAvailable)
	h.log.with(func(l *fakeLog) { l.refusal = nil })
	h.want(h.end(answer, endCommit), remoting.ResponseSuccess)
}

func TestACommitToATopicThatIsGoneWaitsUntilItIsThereAgain(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	answer := h.sendHalf(3, "H1")
	deleted := make(chan error, 1)
	h.broker.registry.deleteTopic("T", func(err error) { deleted <- err })
	if err := receive(t, deleted); err != nil {
		t.Fatal(err)
	}
	h.want(h.end(answer, endCommit), remoting.ResponseTopicNotExist)
	h.createTopic(TopicSettings{Name: "T", ReadQueues: 4, WriteQueues: 4, Permission: 6})
	h.want(h.end(answer, endCommit), remoting.ResponseSuccess)
	if got := h.pullAll("T", 3); len(got) != 1 {
		t.Errorf("%d messages, want 1", len(got))
	}
}

func TestWhenAHalfMessageIsDue(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1700000000000)
	h := start(t, func(c *Config) { c.Clock = func() time.Time { return now }; c.TransactionTimeout = 7 * time.Second })
	for more, want := range map[string]int64{"": 7000, "CHECK_IMMUNITY_TIME_IN_SECONDS\x0160\x02": 60_000,
		"CHECK_IMMUNITY_TIME_IN_SECONDS\x01-1\x02": 7000, "CHECK_IMMUNITY_TIME_IN_SECONDS\x01soon\x02": 7000} {
		answer := h.sendHalf(0, "H", more)
		entry, _, _ := h.broker.waiting.Get(h.handleOf(answer))
		if entry.Due != now.UnixMilli()+want {
			t.Errorf("%q: due after %d ms, want %d", more, entry.Due-now.UnixMilli(), want)
		}
	}
}

func TestAProducerThatExceedsItsOwnImmunityTimeHasToBeAsked(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *Config) { c.Clock = func() time.Time { return time.UnixMilli(1700000099000) } }) // the log's clock is 99 s behind
	answer := h.sendHalf(0, "H1", "CHECK_IMMUNITY_TIME_IN_SECONDS\x0160\x02")
	h.want(h.end(answer, endCommit), remoting.ResponseIllegalOperation)
	h.want(h.call(remoting.RequestEndTransaction, h.endFields(answer, endCommit).with("fromTransactionCheck", "true"), nil), remoting.ResponseSuccess)
}

func TestWhichSendsAreTransactional(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	half := halfFields(0, "H1")
	batch := half.with("m", "true")
	h.want(h.call(remoting.RequestSendBatchMessage, batch, batchBody("a", "b")), remoting.ResponseMessageIllegal)
	h.want(h.call(remoting.RequestSendMessageV2, sendFields(0).with("f", "8"), []byte("b")), remoting.ResponseMessageIllegal)
	if n := h.halves(); n != 0 {
		t.Fatalf("%d half messages wait", n)
	}
	h.want(h.call(remoting.RequestSendMessageV2, sendFields(0).with("f", "4"), []byte("b")), remoting.ResponseSuccess)
	if n := h.halves(); n != 1 {
		t.Fatalf("%d half messages wait, want the one with the flag alone", n)
	}
}

func TestTransactionsCanBeForbidden(t *testing.T) {
	t.Parallel()
	h := start(t, func(c *Config) { c.RejectTransactions = true })
	h.want(h.call(remoting.RequestSendMessageV2, halfFields(0, "H1"), []byte("b")), remoting.ResponseNoPermission)
	h.send(0, "TagA", "plain")
}

// checks collects what a producer is asked.
type checks chan *remoting.Command

func (c checks) Handle(_ remoting.ReplyTo, cmd *remoting.Command) { c <- cmd.Clone() }
func (c checks) Closed(*remoting.Conn)                            {}

// produce registers a client as a producer of PG.
func (h *harness) produce(client string) checks {
	h.Helper()
	asked := make(checks, 16)
	c := h.dial(asked)
	body := fmt.Sprintf(`{"clientID":%q,"producerDataSet":[{"groupName":"PG"}],"consumerDataSet":[]}`, client)
	h.want(h.callAs(c, remoting.RequestHeartBeat, fields{}, []byte(body)), remoting.ResponseSuccess)
	return asked
}

func (h *harness) entry(answer *remoting.Command) pending.Entry {
	h.Helper()
	e, found, err := h.broker.waiting.Get(h.handleOf(answer))
	if err != nil || !found {
		h.Fatalf("nothing waits, %v", err)
	}
	return e
}

func TestProducersOfTheGroupAreAskedInTurnAndMayAnswer(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	h.sendHalf(0, "H0")
	answer := h.sendHalf(1, "H1")
	h.broker.AskProducers([]pending.Entry{h.entry(answer)}) // nobody is there
	if n := len(h.broker.transactions.unreached); n != 1 {
		t.Errorf("%d groups were not reached", n)
	}
	a, b := h.produce("a"), h.produce("b")
	h.broker.AskProducers([]pending.Entry{h.entry(answer), h.entry(answer)})
	cmd := receive(t, a)
	receive(t, b)
	if n := len(h.broker.transactions.unreached); n != 0 {
		t.Errorf("%d groups count as not reached", n)
	}
	handle := fmt.Sprint(h.handleOf(answer))
	for key, want := range map[string]string{"topic": "T", "tranStateTableOffset": "1", "commitLogOffset": handle, "msgId": "H1",
		"transactionId": "H1", "offsetMsgId": answer.Text("msgId"), "bname": "broker-a"} {
		if cmd.Text(key) != want {
			t.Errorf("%s is %q, want %q", key, cmd.Text(key), want)
		}
	}
	if cmd.Code != remoting.RequestCheckTransactionState || !cmd.IsOneway() {
		t.Errorf("code %d, one-way %t", cmd.Code, cmd.IsOneway())
	}
	r := h.decodeAll(cmd.Body)[0]
	if string(r.Topic) != "T" || r.QueueID != 1 || string(r.Body) != "body of H1" || fmt.Sprint(r.Position) != handle || r.QueueOffset != 1 {
		t.Errorf("the producer is shown %+v", r)
	}
	if p := properties(r); p["PGROUP"] != "PG" || p["__transactionId__"] != "H1" || p["TRANSACTION_CHECK_TIMES"] != "1" {
		t.Errorf("properties %q", p)
	}
	h.want(h.call(remoting.RequestEndTransaction, fields{"producerGroup": "PG", "tranStateTableOffset": cmd.Text("tranStateTableOffset"),
		"commitLogOffset": cmd.Text("commitLogOffset"), "commitOrRollback": endCommit, "fromTransactionCheck": "true",
		"msgId": cmd.Text("msgId")}, nil), remoting.ResponseSuccess)
	if got := h.pullAll("T", 1); len(got) != 1 {
		t.Errorf("%d messages, want 1", len(got))
	}
	var metrics strings.Builder
	h.broker.WriteMetrics(&metrics)
	for _, want := range []string{`apogee_broker_transaction_checks_total{result="sent"} 2`, `apogee_broker_transaction_checks_total{result="no_producer"} 1`,
		`rocketmq_commit_messages_total{cluster="DefaultCluster",node_type="broker",node_id="broker-a",topic="T"} 1`, "apogee_broker_half_messages 1\n", `message_type="transaction",is_system="false"} 2`} {
		if !strings.Contains(metrics.String(), want) {
			t.Errorf("metrics lack %s:\n%s", want, metrics.String())
		}
	}
}

func TestAnAbandonedHalfMessageIsKeptWhereOperatorsFindIt(t *testing.T) {
	t.Parallel()
	h := start(t, nil)
	answer := h.sendHalf(1, "H1")
	entry := h.entry(answer)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	asked := []event.Draft{{Kind: event.KindAsked, Cause: entry.Handle, Due: entry.Due + 1}, {Kind: event.KindAsked, Cause: entry.Handle, Due: entry.Due + 2}}
	if err := proposeAndApply(ctx, h.log, h.log, asked); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := h.broker.AbandonHalfMessage(ctx, entry); err != nil {
			t.Fatal(err)
		}
	}
	got := h.pullAll(topicHalfExpired, 0)
	if len(got) != 1 || string(got[0].Body) != "body of H1" || got[0].SystemFlag != 0 {
		t.Fatalf("%s has %+v", topicHalfExpired, got)
	}
	if p := properties(got[0]); p["REAL_TOPIC"] != "T" || p["REAL_QID"] != "1" || p["TRANSACTION_CHECK_TIMES"] != "2" {
		t.Errorf("properties %q", p)
	}
	h.want(h.end(answer, endCommit), remoting.ResponseSystemError)
	if n := len(h.pullAll("T", 1)); n != 0 || h.halves() != 0 {
		t.Errorf("%d messages, %d wait", n, h.halves())
	}
}

// TestTransactionsSurviveARestart leaves one of each outcome in a real log.
func TestTransactionsSurviveARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var answers [3]*remoting.Command
	runOnEngine(t, dir, func(h *harness) {
		for i := range answers {
			answers[i] = h.sendHalf(0, fmt.Sprint("H", i))
		}
		h.want(h.end(answers[0], endCommit), remoting.ResponseSuccess)
		h.want(h.end(answers[1], endRollback), remoting.ResponseSuccess)
	})
	runOnEngine(t, dir, func(h *harness) {
		for _, ended := range answers[:2] {
			h.want(h.end(ended, endCommit), remoting.ResponseSystemError)
		}
		h.want(h.end(answers[2], endCommit), remoting.ResponseSuccess)
		h.visible(0, "2")
		if got := h.drainQueue(h.client, 0); len(got) != 2 || got[0] != "body of H0" || got[1] != "body of H2" {
			t.Errorf("delivered %q", got)
		}
	})
}
