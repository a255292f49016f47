package transport

import (
	"errors"
	"net"
	"testing"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine/event"
)

func TestOnlyWhoKnowsTheSecretGetsIn(t *testing.T) {
	t.Parallel()
	for _, secrets := range [][2]string{{"one", "another"}, {"", "one"}, {"one", ""}} {
		a := network(t, func(o *Options) { o.Secret = []byte(secrets[0]) })
		b := network(t, func(o *Options) { o.Secret = []byte(secrets[1]) })
		b.Introduce(Hello{Group: "g"})
		if _, err := a.Ask(t.Context(), b.Address(), Hello{Group: "g"}); err == nil {
			t.Errorf("secrets %q: the node gets in", secrets)
		}
	}
	a := network(t, nil)
	b := network(t, nil)
	b.Introduce(Hello{Group: "g", Name: "b"})
	if got, err := a.Ask(t.Context(), b.Address(), Hello{Group: "g"}); err != nil || got.Name != "b" {
		t.Errorf("with the same secret: %+v, %v", got, err)
	}
}

func TestARecordedProofIsGoodForNothing(t *testing.T) {
	t.Parallel()
	s := secret("shared")
	connector, listener := make([]byte, nonceBytes), make([]byte, nonceBytes)
	proof := s.prove(connectorSide, connector, listener)
	if string(proof) == string(s.prove(listenerSide, connector, listener)) {
		t.Error("the listener's proof passes for the connector's")
	}
	listener[0]++
	if string(proof) == string(s.prove(connectorSide, connector, listener)) {
		t.Error("a proof is good for another nonce")
	}
}

func TestConnectionsAreEncryptedAndBothSidesProveThemselves(t *testing.T) {
	t.Parallel()
	ours, theirs := certificates(t), certificates(t)
	b := network(t, func(o *Options) { o.ServerTLS, o.ClientTLS = ours, ours })
	b.Introduce(Hello{Group: "g", Name: "b"})
	a := network(t, func(o *Options) { o.ServerTLS, o.ClientTLS = ours, ours })
	if got, err := a.Ask(t.Context(), b.Address(), Hello{Group: "g"}); err != nil || got.Name != "b" {
		t.Errorf("with the same authority: %+v, %v", got, err)
	}
	stranger := network(t, func(o *Options) { o.ServerTLS, o.ClientTLS = theirs, theirs })
	if _, err := stranger.Ask(t.Context(), b.Address(), Hello{Group: "g"}); err == nil {
		t.Error("another authority gets in")
	}
	plain := network(t, nil)
	if _, err := plain.Ask(t.Context(), b.Address(), Hello{Group: "g"}); err == nil {
		t.Error("a plain connection gets in")
	}
}

func TestANodeOfAnotherLogIsRefused(t *testing.T) {
	t.Parallel()
	a, b := pair(t, nil)
	hello := a.transport.config.Self
	hello.Log = event.LogID{9}
	var refusal *Refusal
	if _, err := a.network.Ask(t.Context(), string(b.address()), hello); !errors.As(err, &refusal) {
		t.Errorf("error %v", err)
	}
	a.transport.config.Self = hello
	if err := a.transport.RequestVote("b", b.address(), &raft.RequestVoteRequest{}, &raft.RequestVoteResponse{}); err == nil {
		t.Error("its requests are answered")
	}
}

func TestAFrameThatIsTooLongIsNotAllocated(t *testing.T) {
	t.Parallel()
	near, far := net.Pipe()
	defer near.Close()
	go func() {
		_, _ = far.Write([]byte{0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0})
		_ = far.Close()
	}()
	c := &conn{Conn: near, frameBytesMax: 1 << 10}
	if _, err := c.receive(noDeadline); !errors.Is(err, ErrTooLarge) || cap(c.in) > 1<<10 {
		t.Errorf("error %v, %d bytes allocated", err, cap(c.in))
	}
}
