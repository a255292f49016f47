package porttest

import (
	"net"
	"testing"
)

func TestAPortIsClaimedUntilItIsReleased(t *testing.T) {
	t.Parallel()
	port, release, err := Take(3)
	if err != nil {
		t.Fatal(err)
	}
	for p := port; p < port+3; p++ {
		if _, err := take(p, 1); err == nil {
			t.Errorf("port %d is given out twice", p)
		}
		l, err := net.Listen("tcp", loopback(p))
		if err != nil {
			t.Fatalf("who has the claim can't listen: %v", err)
		}
		_ = l.Close()
	}
	release()
	again, err := take(port, 3)
	if err != nil {
		t.Fatalf("after the release: %v", err)
	}
	again()
}

func TestAPortThatSomebodyListensOnIsNotGivenOut(t *testing.T) {
	t.Parallel()
	port, release, err := Take(2)
	if err != nil {
		t.Fatal(err)
	}
	release()
	l, err := net.Listen("tcp", loopback(port+1))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := take(port, 2); err == nil {
		t.Error("the port is given out")
	}
	if released, err := take(port, 1); err != nil {
		t.Errorf("its neighbour is not free after a try that failed: %v", err)
	} else {
		released()
	}
}
