package forward

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/apogeemq/apogee/server/remoting"
)

func TestTheLeaderGetsRequestsAsTheClientSentThem(t *testing.T) {
	t.Parallel()
	for _, s := range []remoting.Serialization{remoting.JSON, remoting.Binary} {
		_, follower := pair(t, "leader")
		c := dial(t, follower, remoting.ClientOptions{Serialization: s})
		for _, size := range []int{1, 100, 1 << 20} {
			r := request(remoting.RequestSendMessageV2, "b", "T\"é\x01", "signature", "x=")
			r.Body = bytes.Repeat([]byte{7}, size)
			got := call(t, c, r)
			if got.Code != remoting.ResponseSuccess || string(got.Remark) != "leader" || got.Text("b") != "T\"é\x01" || got.Text("signature") != "x=" ||
				!bytes.Equal(got.Body, r.Body) || got.Text("language") != "JAVA" || len(got.Fields) != 4 {
				t.Fatalf("%v: got %d %s %v", s, got.Code, got.Remark, got.Fields)
			}
			if want := c.Conn().LocalAddr().String(); got.Text("from") != want {
				t.Errorf("%v: the leader sees %s, the client is %s", s, got.Text("from"), want)
			}
		}
	}
}

func TestRequestsOfAClientKeepTheirOrder(t *testing.T) {
	t.Parallel()
	leader, follower := pair(t, "leader")
	c := dial(t, follower, remoting.ClientOptions{})
	const count = 500
	answers := make(chan string, count)
	for i := range count {
		if err := c.Go(request(remoting.RequestSendMessage, "n", fmt.Sprint(i)), func(got *remoting.Command, err error) {
			if err != nil {
				answers <- err.Error()
				return
			}
			answers <- string(got.Remark) + got.Text("n")
		}); err != nil {
			t.Fatal(err)
		}
	}
	for i := range count {
		if got, want := await(t, "an answer", answers), fmt.Sprint("leader", i); got != want {
			t.Fatalf("answer %d is %q, want %q", i, got, want)
		}
	}
	if n := follower.metrics.opened.Get(); n != 1 {
		t.Errorf("%d links for one client", n)
	}
	if got := leader.local.count(remoting.RequestForward); got != 0 {
		t.Errorf("the broker sees how links begin")
	}
}

// asked is a client that is asked something.
type asked struct{ told chan string }

func (a asked) Handle(rt remoting.ReplyTo, cmd *remoting.Command) {
	a.told <- cmd.Text("consumerGroup")
	rt.Send(&remoting.Reply{Remark: "the client's answer"})
}
func (asked) Closed(*remoting.Conn) {}

func TestTheLeaderReachesAClientThroughTheFollower(t *testing.T) {
	t.Parallel()
	leader, follower := pair(t, "leader")
	a := asked{make(chan string, 2)}
	c := dial(t, follower, remoting.ClientOptions{Handler: a})
	call(t, c, request(remoting.RequestHeartBeat))
	await(t, "the follower to note the heartbeat", follower.local.beat)
	conn := await(t, "the leader to get the heartbeat", leader.local.beat)
	if err := conn.Oneway(request(remoting.RequestNotifyConsumerIDsChanged, "consumerGroup", "one")); err != nil {
		t.Fatal(err)
	}
	if got := await(t, "the client to be told", a.told); got != "one" {
		t.Errorf("the client is told %q", got)
	}
	got, err := conn.Call(t.Context(), request(remoting.RequestGetConsumerRunningInfo, "consumerGroup", "two"))
	if err != nil || string(got.Remark) != "the client's answer" || await(t, "the client to be asked", a.told) != "two" {
		t.Errorf("the leader gets %v, %v", got, err)
	}
	c.Close()
	if gone := await(t, "the leader to see the client go", leader.local.gone); gone != conn {
		t.Error("another connection has ended")
	}
}

func TestWhatIsInFlightIsAnsweredWhenTheLeaderIsLost(t *testing.T) {
	t.Parallel()
	leader, follower := pair(t, "holds")
	c := dial(t, follower, remoting.ClientOptions{})
	answers := make(chan *remoting.Command, 1)
	if err := c.Go(request(remoting.RequestPullMessage, "queueOffset", "17", "suspendTimeoutMillis", "15000"), func(got *remoting.Command, err error) {
		if err != nil {
			t.Error(err)
			return
		}
		answers <- got.Clone()
	}); err != nil {
		t.Fatal(err)
	}
	await(t, "the leader to hold the pull", leader.local.pulled)
	leader.stop()
	if got := await(t, "the pull to be answered", answers); got.Code != remoting.ResponsePullRetryImmediately || got.Text("nextBeginOffset") != "17" {
		t.Errorf("the pull is answered with %d %v", got.Code, got.Fields)
	}
	if got := call(t, c, request(remoting.RequestSendMessage)); got.Code != remoting.ResponseServiceNotAvailable || !strings.Contains(string(got.Remark), "nothing was stored") {
		t.Errorf("a send without a leader: %d %s", got.Code, got.Remark)
	}
	if got := call(t, c, request(remoting.RequestGetMaxOffset)); string(got.Remark) != "follower" {
		t.Errorf("a read without a leader is answered by %s", got.Remark)
	}
	// What this node knows of it may be old, and would send a consumer back.
	if got := call(t, c, request(remoting.RequestQueryConsumerOffset)); got.Code != remoting.ResponseServiceNotAvailable {
		t.Errorf("an offset of a group without a leader: %d %s", got.Code, got.Remark)
	}
	if follower.requests.Load() != 0 || follower.bytes.Load() != 0 {
		t.Errorf("%d requests of %d bytes seem to be in flight", follower.requests.Load(), follower.bytes.Load())
	}
}

func TestANewLeaderHearsOfTheClientsAtOnce(t *testing.T) {
	t.Parallel()
	_, follower := pair(t, "first")
	c := dial(t, follower, remoting.ClientOptions{})
	call(t, c, request(remoting.RequestHeartBeat))
	second := start(t, "second")
	second.Lead()
	follower.Follow(second.address)
	if got := call(t, c, request(remoting.RequestSendMessage)); string(got.Remark) != "second" {
		t.Errorf("the send is answered by %s", got.Remark)
	}
	await(t, "the new leader to get the heartbeat", second.local.beat)
	follower.Lead()
	if got := call(t, c, request(remoting.RequestSendMessage)); string(got.Remark) != "follower" {
		t.Errorf("a send to the node that leads now is answered by %s", got.Remark)
	}
}

func TestALeaderTellsTheNextOneOfItsClients(t *testing.T) {
	t.Parallel()
	leader, next := start(t, "first"), start(t, "next")
	leader.Lead()
	c := dial(t, leader, remoting.ClientOptions{})
	call(t, c, request(remoting.RequestHeartBeat))
	next.Lead()
	leader.Follow(next.address)
	if got := call(t, c, request(remoting.RequestSendMessage)); string(got.Remark) != "next" {
		t.Errorf("the send is answered by %s", got.Remark)
	}
	await(t, "the new leader to get the heartbeat", next.local.beat)
}

func TestNothingIsForwardedTwice(t *testing.T) {
	t.Parallel()
	leader, follower := pair(t, "leader")
	c := dial(t, follower, remoting.ClientOptions{})
	call(t, c, request(remoting.RequestSendMessage))
	leader.Follow(follower.address) // both think that the other leads
	if got := call(t, c, request(remoting.RequestSendMessage)); got.Code != remoting.ResponseServiceNotAvailable {
		t.Errorf("on the link that is there: %d %s", got.Code, got.Remark)
	}
	again := dial(t, follower, remoting.ClientOptions{})
	if got := call(t, again, request(remoting.RequestSendMessage)); got.Code != remoting.ResponseServiceNotAvailable {
		t.Errorf("on a new link: %d %s", got.Code, got.Remark)
	}
}

func TestOnlyNodesOfTheGroupSpeakForOthers(t *testing.T) {
	t.Parallel()
	leader, stranger := pair(t, "leader", func(o *Options) { o.Secret = []byte("another secret") })
	c := dial(t, stranger, remoting.ClientOptions{})
	if got := call(t, c, request(remoting.RequestSendMessage)); got.Code != remoting.ResponseServiceNotAvailable {
		t.Errorf("a stranger's request is served: %d %s", got.Code, got.Remark)
	}
	direct := dial(t, leader, remoting.ClientOptions{})
	if got := call(t, direct, request(remoting.RequestForward, "client", "10.0.0.1:1", "proof", "00")); got.Code != remoting.ResponseNoPermission {
		t.Errorf("without a challenge: %d", got.Code)
	}
	if got := call(t, direct, request(remoting.RequestSendMessage)); got.Text("from") != direct.Conn().LocalAddr().String() {
		t.Errorf("the leader takes the client for %s", got.Text("from"))
	}
}

func TestMoreThanTheBoundIsRefused(t *testing.T) {
	t.Parallel()
	leader, follower := pair(t, "holds", func(o *Options) { o.RequestsMax = 1 })
	c := dial(t, follower, remoting.ClientOptions{})
	if err := c.Go(request(remoting.RequestPullMessage, "suspendTimeoutMillis", "15000"), func(*remoting.Command, error) {}); err != nil {
		t.Fatal(err)
	}
	await(t, "the leader to hold the pull", leader.local.pulled)
	if got := call(t, c, request(remoting.RequestSendMessage)); got.Code != remoting.ResponseSystemBusy {
		t.Errorf("over the bound: %d %s", got.Code, got.Remark)
	}
}
