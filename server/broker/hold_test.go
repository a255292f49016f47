package broker

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/server/remoting"
)

// parking is a set of holds in a bubble; answered gets the age of each expired
// request.
func parking(t *testing.T, answered chan<- time.Duration) *holds {
	c := testConfig()
	begin := time.Now()
	h := newHolds(&c, func(*pullRequest, *remoting.Batch) { answered <- time.Since(begin) })
	go h.run(t.Context())
	return h
}

func request(conn *remoting.Conn, queueID uint32, wait time.Duration) *pullRequest {
	p := &puller{}
	r := p.take()
	r.replyTo.Conn, r.queue, r.deadline = conn, event.Queue{Topic: 1, ID: queueID}, time.Now().Add(wait)
	return r
}

func TestHeldPullsAreAnsweredExactlyWhenTheirTimeIsUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answered := make(chan time.Duration, 100)
		h := parking(t, answered)
		conn := new(remoting.Conn)
		waits := []time.Duration{15 * time.Second, 20 * time.Second, time.Second, 15 * time.Second, 3 * time.Millisecond, time.Minute}
		for i, wait := range waits {
			if got := h.park(request(conn, uint32(i%2), wait)); got != parkHeld {
				t.Fatalf("request %d was not held: %v", i, got)
			}
			synctest.Wait()
		}
		slices.Sort(waits)
		for _, want := range waits {
			if got := <-answered; got != want {
				t.Errorf("answered after %v, want %v", got, want)
			}
		}
		if n := h.held(); n != 0 || len(h.queues) != 0 || len(h.conns) != 0 {
			t.Errorf("%d requests, %d queues, %d connections are left", n, len(h.queues), len(h.conns))
		}
	})
}

func TestRequestsLeaveAllListsAtOnce(t *testing.T) {
	t.Parallel()
	c := testConfig()
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1))
		h := newHolds(&c, func(*pullRequest, *remoting.Batch) {})
		conns := []*remoting.Conn{new(remoting.Conn), new(remoting.Conn), new(remoting.Conn)}
		inside := map[*pullRequest]bool{}
		for step := range 300 {
			switch random.IntN(6) {
			case 0:
				for r := h.take(event.Queue{Topic: 1, ID: uint32(random.IntN(4))}); r != nil; r = r.links[byQueue].next {
					delete(inside, r)
				}
			case 1:
				conn := conns[random.IntN(len(conns))]
				for r := range inside {
					if r.replyTo.Conn == conn {
						delete(inside, r)
					}
				}
				h.drop(conn)
			default:
				r := request(conns[random.IntN(len(conns))], uint32(random.IntN(4)), time.Duration(random.IntN(1000))*time.Hour)
				h.park(r)
				inside[r] = true
			}
			checkHolds(t, h, inside, seed, step)
		}
	}
}

// checkHolds compares all lists with the set of requests that must be held.
func checkHolds(t *testing.T, h *holds, inside map[*pullRequest]bool, seed uint64, step int) {
	t.Helper()
	counts := [linkKinds]int{}
	count := func(kind int, list *pullRequest) {
		for r, previous := list, (*pullRequest)(nil); r != nil; r, previous = r.links[kind].next, r {
			if !inside[r] || r.links[kind].previous != previous || h.due[r.heap] != r {
				t.Fatalf("seed %d, step %d: a list holds a request that it should not, or is broken", seed, step)
			}
			counts[kind]++
		}
	}
	for _, list := range h.queues {
		count(byQueue, list)
	}
	for _, list := range h.conns {
		count(byConn, list)
	}
	if len(h.due) != len(inside) || counts[byQueue] != len(inside) || counts[byConn] != len(inside) {
		t.Fatalf("seed %d, step %d: %d by deadline, %d by queue, %d by connection, want %d",
			seed, step, len(h.due), counts[byQueue], counts[byConn], len(inside))
	}
}

func TestEndedHoldsAnswerAllAndHoldNoMore(t *testing.T) {
	t.Parallel()
	answered := make(chan time.Duration, 10)
	c := testConfig()
	h := newHolds(&c, func(*pullRequest, *remoting.Batch) { answered <- 0 })
	for range 3 {
		h.park(request(new(remoting.Conn), 0, time.Hour))
	}
	h.release()
	if len(answered) != 3 {
		t.Errorf("%d requests were answered, want 3", len(answered))
	}
	if got := h.park(request(new(remoting.Conn), 0, time.Hour)); got != parkEnded {
		t.Errorf("a request was held: %v", got)
	}
}
