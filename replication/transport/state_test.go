package transport

import (
	"bytes"
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
)

// stateOf is a state as a node of a version tells it.
func stateOf(version uint32) State {
	return State{Version: version, Sum: engine.Sum{Index: 1 << 40, Chain: 0xfedcba98,
		Parts: []engine.PartSum{{Name: "queue", Sum: "0123456789abcdef"}, {Name: "waiting", Sum: ""}}}}
}

// stateFrom has one node ask another, which answers as tell says.
func stateFrom(t *testing.T, ctx context.Context, tell func(context.Context, event.Index) (State, error)) (State, error) {
	t.Helper()
	a, b := pair(t, func(c *Config) { c.State = tell })
	return a.network.State(ctx, string(b.address()), a.transport.config.Self, 77)
}

func TestANodeTellsItsStateAfterAFrame(t *testing.T) {
	t.Parallel()
	want := stateOf(engine.SumVersion)
	got, err := stateFrom(t, t.Context(), func(_ context.Context, at event.Index) (State, error) {
		if at != 77 {
			t.Errorf("frame %d is asked for", at)
		}
		return want, nil
	})
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v, %v; want %+v", got, err, want)
	}
}

func TestANodeThatCannotTellItsStateSaysWhy(t *testing.T) {
	t.Parallel()
	_, err := stateFrom(t, t.Context(), func(context.Context, event.Index) (State, error) { return State{}, engine.ErrPassed })
	var remote *RemoteError
	if !errors.As(err, &remote) || !strings.Contains(remote.Text, engine.ErrPassed.Error()) {
		t.Errorf("passed: %v", err)
	}
	if _, err = stateFrom(t, t.Context(), nil); !errors.As(err, &remote) {
		t.Errorf("a node that tells none: %v", err)
	}
}

func TestOfAStateThatIsSummedUpInAnotherWayOnlyTheVersionIsRead(t *testing.T) {
	t.Parallel()
	got, err := stateFrom(t, t.Context(), func(context.Context, event.Index) (State, error) { return stateOf(engine.SumVersion + 1), nil })
	if want := (State{Version: engine.SumVersion + 1}); err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%+v, %v; want %+v", got, err, want)
	}
}

func TestWhoeverAsksForAStateMayGiveUp(t *testing.T) {
	t.Parallel()
	ctx, giveUp := context.WithCancel(t.Context())
	_, err := stateFrom(t, ctx, func(waits context.Context, _ event.Index) (State, error) {
		giveUp()
		<-waits.Done()
		return State{}, waits.Err()
	})
	if err == nil {
		t.Error("there is an answer")
	}
}

// FuzzStates: a question for a state that a peer takes is one that can be sent
// again as it is, and so is its answer.
func FuzzStates(f *testing.F) {
	s := stateOf(engine.SumVersion)
	f.Add([]byte{1, 0, 0, 0, 0, 0, 0, 0}, s.append(nil))
	s = stateOf(engine.SumVersion + 1)
	f.Add([]byte{}, s.append(nil))
	f.Add([]byte{}, append(make([]byte, 12), 1, 0, 0, 0, 255, 255, 255, 255, 255, 255, 255, 255))
	f.Fuzz(func(t *testing.T, question, answer []byte) {
		asked := &recording{bytesConn: bytesConn{in: bytes.NewReader(nil)}}
		peer := &Transport{work: context.Background(), config: Config{State: func(context.Context, event.Index) (State, error) {
			return stateOf(engine.SumVersion), nil
		}}}
		if err := peer.tellState(&conn{Conn: asked, frameBytesMax: 1 << 20}, question); err == nil && (len(question) != 8 || asked.written == 0) {
			t.Fatalf("a question of %d bytes has an answer of %d", len(question), asked.written)
		}
		whole := append([]byte{byte(kindState | kindResponse), 0, 0, 0, 0}, answer...)
		c := &conn{Conn: answering{bytesConn{in: bytes.NewReader(frameOf(whole))}}, frameBytesMax: 1 << 20}
		s, err := c.state(7)
		if err == nil && s.Version == engine.SumVersion && !bytes.Equal(s.append(nil), answer) {
			t.Fatalf("%x is taken for %+v", answer, s)
		}
	})
}
