package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/apogeemq/apogee/server/remoting"
	"github.com/apogeemq/apogee/tools/client"
	"github.com/apogeemq/apogee/tools/message"
)

// reset is where a group stands after it was moved.
type reset struct {
	Group  string         `json:"group"`
	Queues []movedOffsets `json:"queues"`
}

type movedOffsets struct {
	client.QueueKey
	Offset int64 `json:"offset"`
}

func (r *reset) table(w *tabwriter.Writer) {
	fmt.Fprintln(w, "TOPIC\tBROKER\tQUEUE\tNOW AT\t")
	for _, q := range r.Queues {
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t\n", q.Topic, q.Broker, q.Queue, q.Offset)
	}
}

func (o *options) resetCommand() *cobra.Command {
	to := ""
	cmd := &cobra.Command{Use: "resetoffset GROUP TOPIC --to TIME", Short: "Let a group consume again from a time on, or skip up to one", Args: cobra.ExactArgs(2),
		Long: "Moves a group in all queues of a topic. Consumers that are online go on from there at once;\n" +
			"with brokers before RocketMQ 5, consumers that are offline do so when they start.",
		RunE: o.show(func(ctx context.Context, c *client.Cluster, args []string) (view, error) {
			millis, err := parseTarget(to)
			if err != nil {
				return nil, err
			}
			return resetTo(ctx, c, args[0], args[1], millis)
		})}
	cmd.Flags().StringVar(&to, "to", "", "earliest, latest, or a `time` (RFC 3339 or Unix milliseconds)")
	_ = cmd.MarkFlagRequired("to") // the flag is there
	return cmd
}

// atEnd is the time that RocketMQ takes for "behind the last message".
const atEnd = -1

func parseTarget(text string) (int64, error) {
	switch text {
	case "earliest":
		return 0, nil
	case "latest":
		return atEnd, nil
	}
	millis, err := message.ParseTime("--to", text)
	if err != nil {
		return 0, fmt.Errorf("%w, or earliest, latest", err)
	}
	return millis, nil
}

func resetTo(ctx context.Context, c *client.Cluster, name, topic string, millis int64) (view, error) {
	queues, err := c.ReadQueues(ctx, topic)
	if err != nil {
		return nil, err
	}
	byBroker := map[string][]client.Queue{}
	for _, q := range queues {
		byBroker[q.Address] = append(byBroker[q.Address], q)
	}
	r := &reset{Group: name}
	var failed []error
	for _, address := range slices.Sorted(maps.Keys(byBroker)) {
		moved, err := resetOn(ctx, c, address, name, topic, millis)
		if client.IsRefusal(err, remoting.ResponseConsumerNotOnline) {
			moved, err = commitEach(ctx, c, name, byBroker[address], millis)
		}
		r.Queues = append(r.Queues, moved...)
		if err != nil {
			failed = append(failed, fmt.Errorf("broker %s: %w", address, err))
		}
	}
	slices.SortFunc(r.Queues, func(a, b movedOffsets) int { return client.CompareQueues(a.QueueKey, b.QueueKey) })
	if len(r.Queues) == 0 {
		return nil, errors.Join(failed...)
	}
	return r, errors.Join(failed...)
}

func resetOn(ctx context.Context, c *client.Cluster, address, name, topic string, millis int64) ([]movedOffsets, error) {
	answer, err := c.Call(ctx, address, client.NewRequest(remoting.RequestInvokeBrokerToResetOffset, "group", name, "topic", topic,
		"timestamp", strconv.FormatInt(millis, 10), "isForce", "true", "queueId", "-1"))
	if err != nil {
		return nil, err
	}
	var body struct {
		Table map[client.QueueKey]int64 `json:"offsetTable"`
	}
	if err := client.Decode(answer.Body, &body); err != nil {
		return nil, err
	}
	var moved []movedOffsets
	for q, offset := range body.Table {
		moved = append(moved, movedOffsets{q, offset})
	}
	return moved, nil
}

// commitEach stores the offsets itself, for brokers that reset only through
// consumers that are online.
func commitEach(ctx context.Context, c *client.Cluster, name string, queues []client.Queue, millis int64) ([]movedOffsets, error) {
	var moved []movedOffsets
	for _, q := range queues {
		var offset int64
		var err error
		if millis == atEnd {
			offset, err = c.Bound(ctx, remoting.RequestGetMaxOffset, q)
		} else {
			offset, err = c.OffsetAt(ctx, q, millis)
		}
		if err == nil {
			_, err = c.Call(ctx, q.Address, client.NewRequest(remoting.RequestUpdateConsumerOffset, "consumerGroup", name,
				"topic", q.Topic, "queueId", strconv.Itoa(q.Queue), "commitOffset", strconv.FormatInt(offset, 10)))
		}
		if err != nil {
			return moved, fmt.Errorf("queue %d: %w", q.Queue, err)
		}
		moved = append(moved, movedOffsets{q.QueueKey, offset})
	}
	return moved, nil
}
