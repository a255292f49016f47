package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/raft"

	"github.com/apogeemq/apogee/engine/event"
)

// framesOf is a log of forty frames of some bytes each.
func framesOf(frameBytes int) func(uint64, []byte) ([]byte, error) {
	return func(index uint64, dst []byte) ([]byte, error) {
		if index > 40 {
			return dst, errors.New("the log ends with 40")
		}
		return append(dst, bytes.Repeat([]byte{byte(index)}, frameBytes)...), nil
	}
}

func TestFramesComeInOrderHoweverManyMessagesTheyTake(t *testing.T) {
	t.Parallel()
	for _, frameBytes := range []int{1, 300 << 10, 3 << 20} {
		t.Run(fmt.Sprint(frameBytes, " bytes each"), func(t *testing.T) {
			t.Parallel()
			a, b := pair(t, func(c *Config) { c.CopyFrame = framesOf(frameBytes) })
			next := byte(7)
			err := a.network.Frames(context.Background(), string(b.address()), a.transport.config.Self, 7, 20, func(frame []byte) error {
				if len(frame) != frameBytes || frame[0] != next || frame[frameBytes-1] != next {
					t.Fatalf("%d bytes of frame %d, want frame %d", len(frame), frame[0], next)
				}
				next++
				return nil
			})
			if err != nil || next != 21 {
				t.Fatalf("frames up to %d, %v", next-1, err)
			}
			err = a.network.Frames(context.Background(), string(b.address()), a.transport.config.Self, 39, 41, func([]byte) error { return nil })
			if err == nil || !strings.Contains(err.Error(), "the log ends with 40") {
				t.Errorf("a frame that isn't there: %v", err)
			}
			refusal := errors.New("not this one")
			err = a.network.Frames(context.Background(), string(b.address()), a.transport.config.Self, 1, 9, func([]byte) error { return refusal })
			if !errors.Is(err, refusal) {
				t.Errorf("a frame that isn't taken: %v", err)
			}
		})
	}
}

func TestANodeSaysWhereItStands(t *testing.T) {
	t.Parallel()
	want := Standing{Term: 7, Last: Entry{Term: 6, Index: 1 << 40}, Leads: true, Lost: true, Full: true}
	a, b := pair(t, func(c *Config) { c.Standing = func() Standing { return want } })
	got, err := a.network.Standing(context.Background(), string(b.address()), a.transport.config.Self)
	if err != nil || got != want {
		t.Fatalf("%+v, %v; want %+v", got, err, want)
	}
}

func TestANodeThatMayNotVoteRefusesThoseWhoseLogIsTooShort(t *testing.T) {
	t.Parallel()
	best := Entry{Term: 3, Index: 100}
	a, b := pair(t, func(c *Config) {
		c.MayVote = func(last Entry) bool { return !last.Before(best) }
	})
	b.answer(t, func(rpc raft.RPC) { rpc.Respond(&raft.RequestVoteResponse{Granted: true}, nil) })
	for _, c := range []struct {
		last    Entry
		granted bool
	}{{Entry{3, 100}, true}, {Entry{4, 1}, true}, {Entry{3, 99}, false}, {Entry{2, 500}, false}} {
		var resp raft.RequestVoteResponse
		err := a.transport.RequestVote("b", b.address(), &raft.RequestVoteRequest{Term: 9, LastLogIndex: c.last.Index, LastLogTerm: c.last.Term}, &resp)
		if granted := err == nil && resp.Granted; granted != c.granted {
			t.Errorf("a candidate whose log ends with %+v: %v, %v", c.last, granted, err)
		}
	}
}

func TestANodeThatMayNotStandAsksForNoVote(t *testing.T) {
	t.Parallel()
	a, b := pair(t, func(c *Config) { c.MayStand = func() bool { return false } })
	b.answer(t, func(rpc raft.RPC) { rpc.Respond(&raft.RequestPreVoteResponse{Granted: true}, nil) })
	errs := []error{
		a.transport.RequestVote("b", b.address(), &raft.RequestVoteRequest{}, &raft.RequestVoteResponse{}),
		a.transport.RequestPreVote("b", b.address(), &raft.RequestPreVoteRequest{}, &raft.RequestPreVoteResponse{}),
		b.transport.TimeoutNow("a", a.address(), &raft.TimeoutNowRequest{}, &raft.TimeoutNowResponse{}), // to a
	}
	for i, err := range errs {
		if err == nil || !strings.Contains(err.Error(), "until it has caught up") {
			t.Errorf("request %d: %v", i, err)
		}
	}
}

func FuzzAnswers(f *testing.F) {
	f.Add(true, Standing{Term: 1, Leads: true}.append(nil))
	f.Add(false, append([]byte{1, 0, 0, 0, 3, 0, 0, 0}, "abc"...))
	f.Fuzz(func(t *testing.T, standing bool, body []byte) {
		k := kindFrames
		if standing {
			k = kindStanding
		}
		whole := append([]byte{byte(k | kindResponse), 0, 0, 0, 0}, body...)
		d := &decoder{left: whole[5:]}
		if standing {
			if s := decodeStanding(d); d.end() == nil && !bytes.Equal(s.append(nil), body) {
				t.Fatal("a standing changes when it is sent again")
			}
			return
		}
		c := &conn{Conn: answering{bytesConn{in: bytes.NewReader(frameOf(whole))}}, frameBytesMax: 1 << 20}
		taken := uint64(0)
		count, err := c.frames(1, 8, func([]byte) error { taken++; return nil })
		if err == nil && (count != taken || count > 8) {
			t.Fatalf("%d frames, %d taken", count, taken)
		}
	})
}

// FuzzTermQuestions: a question for a term that a peer takes is one that can be
// sent again as it is, and so is its answer.
func FuzzTermQuestions(f *testing.F) {
	one := []byte{1, 0, 0, 0, 0, 0, 0, 0}
	f.Add(one, append([]byte{byte(kindTermAt | kindResponse)}, one...))
	f.Add([]byte{}, []byte{})
	f.Fuzz(func(t *testing.T, question, answer []byte) {
		asked := &recording{bytesConn: bytesConn{in: bytes.NewReader(nil)}}
		peer := &Transport{config: Config{Entries: termEntries{}}}
		if err := peer.tellTerm(&conn{Conn: asked}, question); err == nil && (len(question) != 8 || asked.written == 0) {
			t.Fatalf("a question of %d bytes has an answer of %d", len(question), asked.written)
		}
		i := &Inquirer{conn: &conn{Conn: answering{bytesConn{in: bytes.NewReader(frameOf(answer))}}, frameBytesMax: 1 << 20}, bounds: time.Hour}
		term, err := i.TermAt(7)
		if again := binary.LittleEndian.AppendUint64([]byte{byte(kindTermAt | kindResponse)}, uint64(term)); err == nil && !bytes.Equal(again, answer) {
			t.Fatalf("%x is taken for term %d", answer, term)
		}
	})
}

// termEntries is a log that has every entry.
type termEntries struct{ Entries }

func (termEntries) TermAt(event.Index) event.Term { return 3 }

// recording counts what is written.
type recording struct {
	bytesConn
	written int
}

func (r *recording) Write(b []byte) (int, error) {
	r.written += len(b)
	return len(b), nil
}

// answering takes a question and has the answer already.
type answering struct{ bytesConn }

func (answering) Write(b []byte) (int, error) { return len(b), nil }
