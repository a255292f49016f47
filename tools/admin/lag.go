package admin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/apogeemq/apogee/server/remoting"
	"github.com/apogeemq/apogee/tools/client"
	"github.com/apogeemq/apogee/tools/message"
)

// progress is how far a group has come in one queue.
type progress struct {
	client.QueueKey
	queueProgress
	Behind int64 `json:"behind"`
}

type queueProgress struct {
	Next      int64 `json:"brokerOffset"`
	Committed int64 `json:"consumerOffset"`
	LastTime  int64 `json:"lastTimestamp"` // store time of the last consumed message
}

// groupLag is what `lag GROUP` shows.
type groupLag struct {
	Group  string     `json:"group"`
	Behind int64      `json:"behind"`
	Rate   float64    `json:"messagesPerSecond"`
	Queues []progress `json:"queues"`
}

// lags is what `lag` shows: each group that has consumed.
type lags []*groupLag

func (o *options) lagCommand() *cobra.Command {
	topic := ""
	cmd := &cobra.Command{Use: "lag [GROUP]", Short: "Show how far groups are behind", Args: cobra.MaximumNArgs(1),
		RunE: o.show(func(ctx context.Context, c *client.Cluster, args []string) (view, error) {
			if len(args) == 1 {
				return lagOf(ctx, c, args[0], topic)
			}
			groups, err := groupNames(ctx, c)
			if err != nil {
				return nil, err
			}
			all := lags{}
			for _, name := range groups {
				l, err := lagOf(ctx, c, name, topic)
				if err != nil {
					return nil, err
				}
				if len(l.Queues) > 0 {
					all = append(all, l)
				}
			}
			slices.SortStableFunc(all, func(a, b *groupLag) int { return cmp.Compare(b.Behind, a.Behind) })
			return all, nil
		})}
	cmd.Flags().StringVar(&topic, "topic", "", "only this topic")
	return cmd
}

// lagOf puts together what all masters know of a group.
func lagOf(ctx context.Context, c *client.Cluster, name, topic string) (*groupLag, error) {
	r := client.NewRequest(remoting.RequestGetConsumeStats, "consumerGroup", name)
	if topic != "" {
		r.Set("topic", topic)
	}
	l := &groupLag{Group: name, Queues: []progress{}}
	err := eachMaster(ctx, c, r, func(_ string, body []byte) error {
		var stats struct {
			Rate  float64                           `json:"consumeTps"`
			Table map[client.QueueKey]queueProgress `json:"offsetTable"`
		}
		if err := client.Decode(body, &stats); err != nil {
			return err
		}
		l.Rate += stats.Rate
		for q, p := range stats.Table {
			behind := p.Next - max(p.Committed, 0)
			l.Queues = append(l.Queues, progress{q, p, behind})
			l.Behind += behind
		}
		return nil
	})
	slices.SortFunc(l.Queues, func(a, b progress) int { return client.CompareQueues(a.QueueKey, b.QueueKey) })
	return l, err
}

func (l *groupLag) table(w *tabwriter.Writer) {
	if len(l.Queues) == 0 {
		fmt.Fprintf(w, "group %s has consumed nothing yet\n", l.Group)
		return
	}
	fmt.Fprintln(w, "TOPIC\tBROKER\tQUEUE\tCONSUMED\tNEXT\tBEHIND\tLAST CONSUMED WAS STORED\t")
	for _, q := range l.Queues {
		last := ""
		if q.LastTime > 0 {
			last = message.TimeText(q.LastTime)
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%d\t%d\t%d\t%s\t\n", q.Topic, q.Broker, q.Queue, q.Committed, q.Next, q.Behind, last)
	}
	fmt.Fprintf(w, "all\t\t\t\t\t%d\t\t\n", l.Behind)
}

func (l lags) table(w *tabwriter.Writer) {
	fmt.Fprintln(w, "GROUP\tBEHIND\tCONSUMED/S\tQUEUES\t")
	for _, g := range l {
		fmt.Fprintf(w, "%s\t%d\t%.1f\t%d\t\n", g.Group, g.Behind, g.Rate, len(g.Queues))
	}
}
