package consumer

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/apogeemq/apogee/server/remoting"
	"github.com/apogeemq/apogee/tools/client"
	"github.com/apogeemq/apogee/tools/message"
)

const (
	earliest     = "earliest"
	latest       = "latest"
	offsetPrefix = "offset:"
)

// start is where to begin in a queue.
type start struct {
	word   string // earliest, latest, or "" for the others
	offset int64  // -1: by time
	millis int64
}

func parseStart(text string) (start, error) {
	if text == earliest || text == latest {
		return start{word: text}, nil
	}
	if number, ok := strings.CutPrefix(text, offsetPrefix); ok {
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil || n < 0 {
			return start{}, fmt.Errorf("--from %q is not allowed: use offset: and a number from 0 on", text)
		}
		return start{offset: n}, nil
	}
	millis, err := message.ParseTime("--from", text)
	if err != nil {
		return start{}, fmt.Errorf("%w, or earliest, latest, offset:N", err)
	}
	return start{offset: -1, millis: millis}, nil
}

// in finds the offset in one queue.
func (s start) in(ctx context.Context, c *client.Cluster, q client.Queue) (int64, error) {
	switch {
	case s.word == earliest:
		return c.Bound(ctx, remoting.RequestGetMinOffset, q)
	case s.word == latest:
		return c.Bound(ctx, remoting.RequestGetMaxOffset, q)
	case s.offset >= 0:
		return s.offset, nil
	}
	return c.OffsetAt(ctx, q, s.millis)
}

// committed is where the group stopped in a queue; false where it never was.
func committed(ctx context.Context, c *client.Cluster, group string, q client.Queue) (int64, bool, error) {
	answer, err := c.Call(ctx, q.Address, client.NewRequest(remoting.RequestQueryConsumerOffset,
		"consumerGroup", group, "topic", q.Topic, "queueId", strconv.Itoa(q.Queue), "setZeroIfNotFound", "false"))
	if client.IsRefusal(err, remoting.ResponseQueryNotFound) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	offset, ok := answer.Int("offset")
	return offset, ok && offset >= 0, nil
}

// refuseMembers ends the command when consumers of the group are online: they
// would get the same messages, and both would store how far they came.
func refuseMembers(ctx context.Context, c *client.Cluster, group string, queues []client.Queue) error {
	asked := map[string]bool{}
	for _, q := range queues {
		if asked[q.Address] {
			continue
		}
		asked[q.Address] = true
		_, err := c.Call(ctx, q.Address, client.NewRequest(remoting.RequestGetConsumerConnectionList, "consumerGroup", group))
		switch {
		case err == nil:
			return fmt.Errorf("group %q has consumers online at %s: stop them, or read without --group", group, q.Broker)
		case client.IsRefusal(err, remoting.ResponseConsumerNotOnline), client.IsRefusal(err, remoting.ResponseGroupNotExist),
			client.IsRefusal(err, remoting.ResponseSystemError):
		default:
			return err
		}
	}
	return nil
}
