package forward

import (
	"fmt"
	"testing"
	"time"

	"github.com/apogeemq/apogee/server/remoting"
)

// awaitWaiting returns when a client has begun to wait for a leader.
func (n *node) awaitWaiting(t *testing.T) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for n.metrics.waits.Get() == 0 {
		select {
		case <-again.C:
		case <-deadline.C:
			t.Fatal("no client waits for a leader")
		}
	}
}

// sendNumbered sends requests one behind the other, and returns their answers
// as they come: who answered, and the number.
func sendNumbered(t *testing.T, c *remoting.Client, count int) <-chan string {
	t.Helper()
	answers := make(chan string, count)
	for i := range count {
		err := c.Go(request(remoting.RequestSendMessage, "n", fmt.Sprint(i)), func(got *remoting.Command, err error) {
			if err != nil {
				answers <- err.Error()
				return
			}
			answers <- string(got.Remark) + got.Text("n")
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return answers
}

func TestWhatIsSentBetweenTwoLeadersGoesToTheNextInItsOrder(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]func(next, follower *node){
		"elsewhere": func(next, follower *node) { next.Lead(); follower.Follow(next.address) },
		"here":      func(_, follower *node) { follower.Lead() },
		// Others hear of a leader before it has begun.
		"elsewhere, late": func(next, follower *node) { follower.Follow(next.address); next.Lead() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			leader, follower := pair(t, "first")
			c := dial(t, follower, remoting.ClientOptions{})
			call(t, c, request(remoting.RequestSendMessage))
			leader.stop()
			follower.Follow("")
			const count = 100
			answers := sendNumbered(t, c, count)
			follower.awaitWaiting(t)
			second := start(t, "next")
			who := "next"
			if next(second, follower); name == "here" {
				who = "follower"
			}
			for i := range count {
				if got, want := await(t, "an answer", answers), fmt.Sprint(who, i); got != want {
					t.Fatalf("answer %d is %q, want %q", i, got, want)
				}
			}
		})
	}
}

func TestALeaderThatIsntReachedYetIsTriedAgain(t *testing.T) {
	t.Parallel()
	leader, follower := pair(t, "first")
	leader.stop() // and the group hasn't noticed
	c := dial(t, follower, remoting.ClientOptions{})
	answers := sendNumbered(t, c, 1)
	follower.awaitWaiting(t)
	next := start(t, "next")
	next.Lead()
	follower.Follow(next.address)
	if got := await(t, "an answer", answers); got != "next0" {
		t.Errorf("the answer is %q", got)
	}
}

func TestRequestsOfAClientWaitForALeaderWithinOneTime(t *testing.T) {
	t.Parallel()
	follower := start(t, "follower")
	c := dial(t, follower, remoting.ClientOptions{})
	for range 3 {
		if got := call(t, c, request(remoting.RequestSendMessage)); got.Code != remoting.ResponseServiceNotAvailable {
			t.Fatalf("without a leader: %d %s", got.Code, got.Remark)
		}
	}
	if n := follower.metrics.waits.Get(); n != 1 {
		t.Errorf("the client waited %d times for 3 requests, want once", n)
	}
	if got := call(t, c, request(remoting.RequestGetMaxOffset)); string(got.Remark) != "follower" {
		t.Errorf("a read without a leader is answered by %s", got.Remark)
	}
}

func TestAStopEndsTheWaitForALeader(t *testing.T) {
	t.Parallel()
	follower := start(t, "follower")
	c := dial(t, follower, remoting.ClientOptions{})
	answers := make(chan int32, 1)
	if err := c.Go(request(remoting.RequestSendMessage), func(got *remoting.Command, err error) {
		if err == nil {
			answers <- got.Code
		}
	}); err != nil {
		t.Fatal(err)
	}
	follower.awaitWaiting(t)
	follower.Close()
	if code := await(t, "an answer", answers); code != remoting.ResponseServiceNotAvailable {
		t.Errorf("the answer is %d", code)
	}
}
