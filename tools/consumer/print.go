package consumer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/apogeemq/apogee/server/broker/record"
	"github.com/apogeemq/apogee/server/remoting"
	"github.com/apogeemq/apogee/tools/client"
	"github.com/apogeemq/apogee/tools/message"
)

// errEnough ends the reading after --count messages.
var errEnough = errors.New("enough")

// printer prints what the followers bring, and stores how far that is.
type printer struct {
	*options
	out     io.Writer
	cluster *client.Cluster
	printed int64
	behind  map[client.Queue]int64 // offsets behind what is printed and not stored yet
}

// run prints until the context or all followers have ended, or it is enough.
func (p *printer) run(ctx context.Context, records <-chan delivery, ended <-chan struct{}) error {
	tick := time.NewTicker(commitInterval)
	defer tick.Stop()
	for {
		select {
		case d := <-records:
			err := p.deliver(d)
			if close(d.done); err != nil {
				if errors.Is(err, errEnough) {
					err = nil
				}
				return err
			}
		case <-tick.C:
			if err := p.commit(ctx); err != nil && ctx.Err() == nil {
				return err
			}
		case <-ended:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
}

func (p *printer) deliver(d delivery) error {
	err := visit(d.body, func(r *record.Record) error {
		if !tagMatches(p.tag, r) {
			return nil
		}
		if err := p.print(d.queue, r); err != nil {
			return err
		}
		p.behind[d.queue] = r.QueueOffset + 1
		if p.printed++; p.printed == p.count {
			return errEnough
		}
		return nil
	})
	if err == nil {
		p.behind[d.queue] = d.next
	}
	return err
}

// tagMatches compares the tag itself: brokers compare its hash only.
func tagMatches(expression string, r *record.Record) bool {
	if expression == "" || expression == "*" {
		return true
	}
	tag := string(record.Properties(r.Properties).Known().Tags)
	return slices.ContainsFunc(strings.Split(expression, "||"), func(s string) bool { return strings.TrimSpace(s) == tag })
}

// line is a message with its place.
type line struct {
	Broker string `json:"broker"`
	message.Place
	*message.Message
}

func (p *printer) print(q client.Queue, r *record.Record) error {
	if p.bodyOnly {
		_, err := fmt.Fprintf(p.out, "%s\n", message.Inflated(r))
		return err
	}
	l := line{Broker: q.Broker, Place: message.PlaceOf(r), Message: message.Of(r, p.form)}
	if p.asJSON {
		return json.NewEncoder(p.out).Encode(l)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s queue %d offset %d", message.TimeText(l.StoreTimestamp), message.Quoted(q.Broker), l.Queue, l.Offset)
	for _, shown := range []struct{ name, property string }{{"tag", "TAGS"}, {"keys", "KEYS"}, {"key", "UNIQ_KEY"}} {
		if value := l.Get(shown.property); value != "" {
			fmt.Fprintf(&b, " %s %s", shown.name, message.Quoted(value))
		}
	}
	if l.Problem != "" {
		fmt.Fprintf(&b, " problem: %s", l.Problem)
	}
	switch {
	case l.Body != nil:
		fmt.Fprintf(&b, ": %s", message.Quoted(*l.Body))
	case l.BodyHex != "":
		fmt.Fprintf(&b, ": in hexadecimal %s", l.BodyHex)
	}
	_, err := fmt.Fprintln(p.out, b.String())
	return err
}

// commit stores how far the group came.
func (p *printer) commit(ctx context.Context) error {
	if p.group == "" {
		return nil
	}
	for _, q := range slices.SortedFunc(maps.Keys(p.behind), func(a, b client.Queue) int { return client.CompareQueues(a.QueueKey, b.QueueKey) }) {
		_, err := p.cluster.Call(ctx, q.Address, client.NewRequest(remoting.RequestUpdateConsumerOffset, "consumerGroup", p.group,
			"topic", q.Topic, "queueId", strconv.Itoa(q.Queue), "commitOffset", strconv.FormatInt(p.behind[q], 10)))
		if err != nil {
			return fmt.Errorf("store how far group %q came in queue %d of %s: %w", p.group, q.Queue, q.Broker, err)
		}
		delete(p.behind, q)
	}
	return nil
}
