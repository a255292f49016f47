package remoting

import "testing"

func TestACallDoesNotTimeOutBeforeItsRequestIsEncoded(t *testing.T) {
	t.Parallel()
	c := &Conn{}
	c.calls.slots = make(chan struct{}, 1)
	c.calls.slots <- struct{}{}
	ended := false
	opaque, err := c.calls.add(pendingCall{expires: true, done: func(*Command, error) { ended = true }})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		c.sweepCalls(1)
	}
	if ended {
		t.Fatal("its callback was called while the request may be read")
	}
	c.calls.settle(opaque)
	for range 3 {
		c.sweepCalls(1)
	}
	if !ended {
		t.Error("it has not timed out after that")
	}
}
