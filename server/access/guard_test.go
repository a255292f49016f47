package access

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apogeemq/apogee/server/remoting"
)

var (
	elsewhere = netip.MustParseAddr("172.16.0.9")
	sender    = Credentials{"sendingApp", "12345678"}
	operator1 = Credentials{"operator1", "operator-secret"}
	operator2 = Credentials{"operator2", "operator2-secret"}
)

// guard is one with rules from a file.
func guard(t *testing.T, text string) *Guard {
	t.Helper()
	g, _ := guardAt(t, text)
	return g
}

func guardAt(t *testing.T, text string) (*Guard, string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "plain_acl.yml")
	write(t, path, text)
	g, err := Open(Options{Path: path, Process: Credentials{"process-1", "secret-1"}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return g, path
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestOnlyWhoSignsOrStandsOnAWhiteAddressIsServed(t *testing.T) {
	t.Parallel()
	g := guard(t, rulesText)
	send := request(remoting.RequestSendMessage, "", "topic", "orders")
	wrong := signed(Credentials{"sendingApp", "87654321"}, send)
	for _, c := range []struct {
		name, from string
		cmd        *remoting.Command
		want       string // part of the refusal, "" for served
	}{
		{"signed", "172.16.0.9", signed(sender, send), ""},
		{"without a signature", "172.16.0.9", request(10, "", "topic", "orders", "AccessKey", "sendingApp"), "check signature failed"},
		{"with another key's signature", "172.16.0.9", wrong, "check signature failed"},
		{"without an access key", "172.16.0.9", send, "no accessKey"},
		{"with an unknown access key", "172.16.0.9", signed(Credentials{"somebody", "12345678"}, send), "not known"},
		{"from a white address", "10.10.103.77", send, ""},
		{"from a white address, an administrator's request", "192.168.0.2", request(remoting.RequestDeleteTopicInBroker, ""), ""},
		{"from an account's white address", "192.168.7.7", request(10, "", "topic", "orders", "AccessKey", "operator1"), ""},
		{"from another account's white address", "192.168.7.7", request(10, "", "topic", "orders", "AccessKey", "sendingApp"), "check signature failed"},
		{"by this process", "172.16.0.9", signed(Credentials{"process-1", "secret-1"}, request(remoting.RequestRegisterBroker, "")), ""},
		{"in this process's name", "172.16.0.9", signed(Credentials{"process-1", "secret-2"}, request(remoting.RequestRegisterBroker, "")), "check signature failed"},
	} {
		err := g.check(netip.MustParseAddr(c.from), c.cmd)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// permitted is a request and who may make it.
type permitted struct {
	name  string
	cmd   *remoting.Command
	allow bool
}

func (p permitted) check(t *testing.T, g *Guard, who Credentials) {
	t.Helper()
	if err := g.check(elsewhere, signed(who, p.cmd)); (err == nil) != p.allow {
		t.Errorf("%s by %s: %v; allowed should be %v", p.name, who.AccessKey, err, p.allow)
	}
}

func heartbeatOf(group string, topics ...string) *remoting.Command {
	var subscriptions []string
	for _, topic := range topics {
		subscriptions = append(subscriptions, fmt.Sprintf(`{"topic":%q,"subString":"*","codeSet":[1]}`, topic))
	}
	return request(remoting.RequestHeartBeat, fmt.Sprintf(`{"clientID":"c","producerDataSet":[{"groupName":"billing"}],"consumerDataSet":[{"groupName":%q,"subscriptionDataSet":[%s]}]}`,
		group, strings.Join(subscriptions, ",")))
}

func TestAnAccountMayDoWhatItIsPermitted(t *testing.T) {
	t.Parallel()
	g := guard(t, rulesText)
	pull := func(topic, group string) *remoting.Command {
		return request(remoting.RequestPullMessage, "", "topic", topic, "consumerGroup", group)
	}
	lock := func(topic, group string) *remoting.Command {
		return request(remoting.RequestLockBatchMQ, fmt.Sprintf(`{"clientId":"c","consumerGroup":%q,"mqSet":[{"topic":%q,"queueId":1}]}`, group, topic))
	}
	for _, p := range []permitted{
		{"send", request(remoting.RequestSendMessage, "", "topic", "orders"), true},
		{"send, short names", request(remoting.RequestSendMessageV2, "", "b", "orders", "topic", "secret"), true},
		{"send of a batch", request(remoting.RequestSendBatchMessage, "", "b", "secret"), false},
		{"send to a topic by default", request(remoting.RequestSendMessageV2, "", "b", "other"), false},
		{"send to the own retry topic", request(remoting.RequestSendMessageV2, "", "b", "%RETRY%audit"), true},
		{"send to another group's retry topic", request(remoting.RequestSendMessageV2, "", "b", "%RETRY%billing"), false},
		{"send without a topic", request(remoting.RequestSendMessageV2, ""), false},
		{"trace", request(remoting.RequestSendMessageV2, "", "b", "RMQ_SYS_TRACE_TOPIC"), true},
		{"read traces", pull("RMQ_SYS_TRACE_TOPIC", "audit"), false},
		{"end of a transaction", request(remoting.RequestEndTransaction, "", "producerGroup", "p"), true},
		{"end of a transaction elsewhere", request(remoting.RequestEndTransaction, "", "topic", "secret"), false},
		{"pull", pull("invoices", "audit"), true},
		{"pull in a group by default", pull("invoices", "any"), true},
		{"pull of what may be sent only", pull("orders", "audit"), false},
		{"pull in a group of others", pull("invoices", "billing"), false},
		{"pull of the retry topic", pull("%RETRY%audit", "audit"), true},
		{"pull of others' retry topic", pull("%RETRY%billing", "audit"), false},
		{"commit of an offset", request(remoting.RequestUpdateConsumerOffset, "", "topic", "invoices", "consumerGroup", "audit"), true},
		{"offsets of others", request(remoting.RequestQueryConsumerOffset, "", "topic", "invoices", "consumerGroup", "billing"), false},
		{"end of a queue", request(remoting.RequestGetMaxOffset, "", "topic", "orders"), true},
		{"end of a secret queue", request(remoting.RequestGetMaxOffset, "", "topic", "secret"), false},
		{"send back", request(remoting.RequestConsumerSendMessageBack, "", "group", "audit", "originTopic", "invoices"), true},
		{"send back from the retry topic", request(remoting.RequestConsumerSendMessageBack, "", "group", "audit", "originTopic", "%RETRY%audit"), true},
		{"send back in a group of others", request(remoting.RequestConsumerSendMessageBack, "", "group", "billing", "originTopic", "invoices"), false},
		{"send back of what may be sent only", request(remoting.RequestConsumerSendMessageBack, "", "group", "audit", "originTopic", "orders"), false},
		{"send back of who knows what", request(remoting.RequestConsumerSendMessageBack, "", "group", "audit"), false},
		{"members of a group", request(remoting.RequestGetConsumerListByGroup, "", "consumerGroup", "audit"), true},
		{"leave", request(remoting.RequestUnregisterClient, "", "clientID", "c"), true},
		{"heartbeat", heartbeatOf("audit", "invoices", "%RETRY%audit"), true},
		{"heartbeat for others", heartbeatOf("billing", "invoices"), false},
		{"heartbeat for a topic of others", heartbeatOf("audit", "invoices", "secret"), false},
		{"heartbeat that is none", request(remoting.RequestHeartBeat, "{"), false},
		{"lock", lock("invoices", "audit"), true},
		{"lock for others", lock("invoices", "billing"), false},
		{"lock of a secret queue", lock("secret", "audit"), false},
		{"assignment", request(remoting.RequestQueryAssignment, `{"topic":"invoices","consumerGroup":"audit"}`), true},
		{"assignment of others", request(remoting.RequestQueryAssignment, `{"topic":"secret","consumerGroup":"audit"}`), false},
		{"search for keys", request(remoting.RequestQueryMessage, "", "topic", "orders"), false},
		{"route", request(remoting.RequestGetRouteInfoByTopic, "", "topic", "secret"), true},
		{"create a topic", request(remoting.RequestUpdateAndCreateTopic, "", "topic", "orders"), false},
		{"message of any topic by its place", request(remoting.RequestViewMessageByID, "", "offset", "1"), false},
		{"reset of offsets", request(remoting.RequestInvokeBrokerToResetOffset, "", "topic", "invoices", "group", "audit"), false},
		{"registration of a broker", request(remoting.RequestRegisterBroker, ""), false},
		{"a request that nobody knows", request(54321, ""), false},
	} {
		p.check(t, g, sender)
		p.allow = true
		p.check(t, g, operator1)
	}
}

func TestAnAdministratorWithPermissionsHasNoOthers(t *testing.T) {
	t.Parallel()
	g := guard(t, rulesText)
	for _, p := range []permitted{
		{"create a topic", request(remoting.RequestUpdateAndCreateTopic, "", "topic", "orders"), true},
		{"a request that nobody knows", request(54321, ""), true},
		{"send", request(remoting.RequestSendMessage, "", "topic", "orders"), true},
		{"send by default", request(remoting.RequestSendMessage, "", "topic", "invoices"), false},
		{"pull in a group by default", request(remoting.RequestPullMessage, "", "topic", "invoices", "consumerGroup", "audit"), false},
	} {
		p.check(t, g, operator2)
	}
}

// rewrite replaces a file by one that is told apart from it.
func rewrite(t *testing.T, path, text string) {
	t.Helper()
	write(t, path+".new", text)
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
}

func TestAChangedFileIsReadAgainAndABadOneChangesNothing(t *testing.T) {
	t.Parallel()
	var lines bytes.Buffer
	g, path := guardAt(t, rulesText)
	g.options.Log = slog.New(slog.NewTextHandler(&lines, nil))
	send := signed(sender, request(remoting.RequestSendMessage, "", "topic", "orders"))
	for i, step := range []struct {
		text  string
		allow bool
	}{
		{strings.ReplaceAll(rulesText, "orders=PUB", "orders=SUB"), false},
		{rulesText, true},
		{"accounts: [", true},
		{strings.ReplaceAll(rulesText, "12345678", "87654321"), false},
		{"", false},
		{rulesText, true},
	} {
		rewrite(t, path, step.text)
		g.Refresh()
		g.Refresh()
		if err := g.check(elsewhere, send); (err == nil) != step.allow {
			t.Errorf("step %d: %v", i, err)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	g.Refresh()
	g.Refresh()
	if err := g.check(elsewhere, send); err != nil {
		t.Errorf("without the file: %v", err)
	}
	if n := strings.Count(lines.String(), "not good"); n != 3 {
		t.Errorf("three bad states of the file were reported %d times:\n%s", n, lines.String())
	}
	write(t, path, rulesText)
	g.Refresh()
	if g.broken != "" {
		t.Errorf("the file is good again, and counts as %q", g.broken)
	}
}

func TestWatchingNoticesAChangeByItself(t *testing.T) {
	t.Parallel()
	g, path := guardAt(t, rulesText)
	go g.Watch(t.Context())
	rewrite(t, path, strings.ReplaceAll(rulesText, "orders=PUB", "orders=SUB"))
	send := signed(sender, request(remoting.RequestSendMessage, "", "topic", "orders"))
	deadline, again := time.After(20*time.Second), time.NewTicker(10*time.Millisecond)
	defer again.Stop()
	for g.check(elsewhere, send) == nil {
		select {
		case <-again.C:
		case <-deadline:
			t.Fatal("the new rules are not in force")
		}
	}
}

func TestAGuardDoesNotOpenWithoutAGoodFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "plain_acl.yml")
	if _, err := Open(Options{Path: path}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("without a file: %v", err)
	}
	write(t, path, "accounts: [")
	if _, err := Open(Options{Path: path}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("with a bad file: %v", err)
	}
	write(t, path, rulesText)
	refuse := func(*Rules) error { return fmt.Errorf("not these") }
	if _, err := Open(Options{Path: path, Admit: refuse}); err == nil || !strings.Contains(err.Error(), "not these") {
		t.Errorf("with rules that aren't admitted: %v", err)
	}
}
