package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"

	"github.com/apogeemq/apogee/server/broker/track"
)

// track asks the admin port what each group has done with a message.
func (s *server) track(id string) (map[string]track.Group, error) {
	reply, err := http.Get("http://" + loopback(s.ports.admin()) + "/track?id=" + url.QueryEscape(id))
	if err != nil {
		return nil, err
	}
	defer func() { _ = reply.Body.Close() }()
	text, err := io.ReadAll(reply.Body)
	if err != nil || reply.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s: %w", reply.Status, text, err)
	}
	var answer track.Answer
	if err := json.Unmarshal(text, &answer); err != nil || len(answer.Messages) != 1 {
		return nil, fmt.Errorf("track %s: %s: %w", id, text, err)
	}
	groups := map[string]track.Group{}
	for _, g := range answer.Messages[0].Groups {
		groups[g.Group] = g
	}
	return groups, nil
}

// awaitTrack waits until what a group has done with a message satisfies check.
func (s *server) awaitTrack(id, group string, check func(track.Group) bool) (g track.Group) {
	s.t.Helper()
	eventually(s.t, "the track of group "+group, func() error {
		groups, err := s.track(id)
		if g = groups[group]; err == nil && !check(g) {
			err = fmt.Errorf("%+v", groups)
		}
		return err
	})
	return g
}

// admin runs a command of the command line's and returns what it prints.
func (s *server) admin(arguments ...string) string {
	s.t.Helper()
	arguments = append([]string{"admin", "--namesrv", s.nameserverAddress()}, arguments...)
	out, err := exec.Command(apogee, arguments...).CombinedOutput()
	if err != nil {
		s.t.Fatalf("apogee %q: %v\n%s", arguments, err, out)
	}
	return string(out)
}

// sendTracked sends one message and returns its unique key.
func sendTracked(t *testing.T, s *server, topic string) string {
	t.Helper()
	result, err := newProducer(t, s).SendSync(t.Context(), primitive.NewMessage(topic, []byte("tracked")))
	if err != nil {
		t.Fatal(err)
	}
	return result.MsgID
}

func answering(result consumer.ConsumeResult) handler {
	return func(context.Context, ...*primitive.MessageExt) (consumer.ConsumeResult, error) { return result, nil }
}

func TestTracksTellWhatEachGroupDidWithAMessageAlsoAfterAKill(t *testing.T) {
	t.Parallel()
	if ranWithLocalOffsets(t) {
		return
	}
	s := startServer(t)
	const topic = "e2e-track"
	began := time.Now().UnixMilli()
	id := sendTracked(t, s, topic)
	startConsumer(t, s, "e2e-reads", topic, answering(consumer.ConsumeSuccess), consumer.WithInstance("e2e-reader"))
	startConsumer(t, s, "e2e-fails", topic, answering(consumer.ConsumeRetryLater))
	startConsumer(t, s, "e2e-gives-up", topic, answering(consumer.ConsumeRetryLater), consumer.WithMaxReconsumeTimes(0))
	heard := make(chan struct{}, 1)
	startConsumer(t, s, "e2e-broadcast", topic, func(context.Context, ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		heard <- struct{}{}
		return consumer.ConsumeSuccess, nil
	}, consumer.WithConsumerModel(consumer.BroadCasting))
	await(t, "the broadcast arrives", heard)
	s.awaitTrack(id, "e2e-broadcast", func(g track.Group) bool { return g.State == track.NotRecorded && g.Note != "" })

	acknowledged := func(g track.Group) bool {
		a := g.Acknowledged
		return g.State == track.Acknowledged && strings.Contains(a.Client, "e2e-reader") && a.Time >= began && a.Time <= time.Now().UnixMilli()
	}
	retrying := func(g track.Group) bool {
		return g.State == track.Retrying && len(g.Tries) > 0 && g.Tries[0].Number == 1 && g.Tries[0].SentBackAt >= began
	}
	dead := func(g track.Group) bool { return g.State == track.Dead && g.Dead.Topic == "%DLQ%e2e-gives-up" }
	before := s.awaitTrack(id, "e2e-reads", acknowledged).Acknowledged
	s.awaitTrack(id, "e2e-fails", retrying)
	s.awaitTrack(id, "e2e-gives-up", dead)
	s.kill()
	s.restart()
	after := s.awaitTrack(id, "e2e-reads", acknowledged).Acknowledged
	if *after != *before {
		t.Errorf("the acknowledgment was %+v and is %+v after a kill", before, after)
	}
	s.awaitTrack(id, "e2e-fails", retrying)
	s.awaitTrack(id, "e2e-gives-up", dead)
	text := s.admin("track", id)
	for _, want := range []string{"e2e-reads", "acknowledged", "e2e-reader", "e2e-fails", "retrying", "try 1", "e2e-gives-up", "dead letter"} {
		if !strings.Contains(text, want) {
			t.Errorf("the command prints no %q:\n%s", want, text)
		}
	}
}

// The trap: a consumer that hands its work to somebody else and acknowledges
// before it is done. If it dies then, nobody does the work; with the right
// pattern the message is still the broker's.
func TestTracksShowAnAcknowledgmentThatCameBeforeTheWorkWasDone(t *testing.T) {
	t.Parallel()
	if ranElsewhere(t) {
		return
	}
	s := startServer(t)
	const topic, early, right = "e2e-trap", "e2e-early", "e2e-right"
	s.admin("groups", "create", early, "--track-delivery")
	s.admin("groups", "create", right, "--track-delivery")
	id := sendTracked(t, s, topic)
	work := make(chan struct{}) // is done when it is closed
	startConsumer(t, s, early, topic, func(context.Context, ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		go func() { <-work }()
		return consumer.ConsumeSuccess, nil
	})
	startConsumer(t, s, right, topic, func(context.Context, ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
		<-work
		return consumer.ConsumeSuccess, nil
	})
	lost := s.awaitTrack(id, early, func(g track.Group) bool { return g.State == track.Acknowledged && len(g.Deliveries) > 0 })
	s.awaitTrack(id, right, func(g track.Group) bool { return g.State == track.Delivered && g.Acknowledged == nil })
	done := time.Now().UnixMilli()
	close(work)
	kept := s.awaitTrack(id, right, func(g track.Group) bool { return g.State == track.Acknowledged })
	if lost.Acknowledged.Time > done || kept.Acknowledged.Time < done {
		t.Errorf("the work was done at %d; %s acknowledged it at %d and %s at %d",
			done, early, lost.Acknowledged.Time, right, kept.Acknowledged.Time)
	}
	if text := s.admin("track", id); !strings.Contains(text, "after its last delivery") {
		t.Errorf("the command doesn't say how long the consumers took:\n%s", text)
	}
}
