package e2e

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/rocketmq-client-go/v2/primitive"

	"github.com/apogeemq/apogee/server/remoting"
)

// TestWhatTakesTimeGoesOnUnderTheNextLeader runs, side by side in one group,
// what a single server is tested with. Where that one is killed and starts
// again, the leader is killed, another takes over, and the old one comes back
// as a follower: its address is the one that clients know, so all they ask for
// from then on is passed on.
func TestWhatTakesTimeGoesOnUnderTheNextLeader(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	g := startGroup(t, append(transactionSettings, "messageDelayLevel=1s 2s 1s 1s 1s 1s", "recallMessageEnable=true")...)
	home := g.leader(g.servers[0], g.servers...)
	leader := home
	side(t, map[string]func(*testing.T, world){
		"offsets":               consumerGoesOn,
		"a transaction":         commitOverCrashes,
		"another producer":      anotherAnswers,
		"a delayed transaction": delayedTransaction,
		"delays":                delayedOverCrashes,
		"recall":                recallOverACrash,
		"retries":               retriesOverACrash,
		"dead letters":          deadLettersOverACrash,
		"order":                 orderOverACrash,
		"request and reply":     requestOverACrash,
		"topics and groups":     settingsOverACrash,
	}, home, func() {
		leader.kill()
		survivors := g.others(leader)
		next := g.leader(survivors[0], survivors...)
		leader.restart()
		leader = next
		g.leader(home, leader)
	})
}

// recallOverACrash recalls one of two messages that wait, under another leader
// than the one that gave the handle.
func recallOverACrash(t *testing.T, s world) {
	const topic = "e2e-recall"
	p := dial(t, s.brokerAddress())
	createTopic(t, s.server, topic)
	send := func(body string, wait time.Duration) (handle string) {
		reply, err := p.client.Call(t.Context(), &remoting.Request{
			Code: remoting.RequestSendMessageV2, Body: []byte(body),
			Header: fields("a", "e2e-producer", "b", topic, "c", "TBW102", "d", "2", "e", "0", "f", "0", "g", fmt.Sprint(time.Now().UnixMilli()),
				"h", "0", "i", fmt.Sprintf("UNIQ_KEY\x01recall-%s\x02TIMER_DELIVER_MS\x01%d\x02", body, time.Now().Add(wait).UnixMilli()), "j", "0", "k", "false", "m", "false"),
		})
		if err != nil || reply.Code != remoting.ResponseSuccess || reply.Text("recallHandle") == "" {
			t.Fatalf("send %s: %v, %v", body, reply, err)
		}
		return reply.Text("recallHandle")
	}
	handle := send("recalled", time.Hour)
	send("delivered", 3*time.Second)
	s.crash(t)
	p = dial(t, s.brokerAddress())
	p.must(remoting.RequestRecallMessage, "producerGroup", "e2e-producer", "topic", topic, "recallHandle", handle)
	if reply := p.ask(remoting.RequestRecallMessage, "producerGroup", "e2e-producer", "topic", topic, "recallHandle", handle); reply.Code == remoting.ResponseSuccess {
		t.Error("a message was recalled twice")
	}
	newInbox(t, s.server, "e2e-recall-group", topic, "*").expect("delivered")
}

// settingsOverACrash looks for what administrators have set.
func settingsOverACrash(t *testing.T, s world) {
	const topic, group = "e2e-settings", "e2e-settings-group"
	p := dial(t, s.brokerAddress())
	createTopic(t, s.server, topic)
	body := `{"groupName":"` + group + `","consumeEnable":true,"retryQueueNums":3,"retryMaxTimes":7}`
	if reply, err := p.client.Call(t.Context(), &remoting.Request{Code: remoting.RequestUpdateAndCreateGroup, Body: []byte(body)}); err != nil || reply.Code != remoting.ResponseSuccess {
		t.Fatalf("create a group: %v, %v", reply, err)
	}
	s.crash(t)
	p = dial(t, s.brokerAddress())
	if got := string(p.must(remoting.RequestGetTopicConfig, "topic", topic).Body); !strings.Contains(got, `"readQueueNums":2`) {
		t.Errorf("the topic is %s", got)
	}
	if got := string(p.must(remoting.RequestGetGroupConfig, "group", group).Body); !strings.Contains(got, `"retryMaxTimes":7`) {
		t.Errorf("the group is %s", got)
	}
	sendAll(t, newProducer(t, s.server), primitive.NewMessage(topic, []byte("after")))
	if n := p.stored(topic, 2); n != 1 {
		t.Errorf("%d messages are stored", n)
	}
}

// stored is the number of messages in the first queues of a topic.
func (p *peer) stored(topic string, queues int) (count int64) {
	p.t.Helper()
	for id := range queues {
		count += p.number(remoting.RequestGetMaxOffset, "topic", topic, "queueId", strconv.Itoa(id))
	}
	return count
}
