package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/apogeemq/apogee/server/remoting"
	"github.com/apogeemq/apogee/tools/client"
	"github.com/apogeemq/apogee/tools/message"
)

// names is a list of names.
type names []string

func (n names) table(w *tabwriter.Writer) {
	for _, name := range n {
		fmt.Fprintln(w, name)
	}
}

func (o *options) topicsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "topics", Short: "List, show, create and delete topics", Args: cobra.NoArgs, RunE: o.show(o.listTopics)}
	list := &cobra.Command{Use: "list", Short: "List topics", Args: cobra.NoArgs, RunE: o.show(o.listTopics)}
	list.Flags().BoolVar(&o.system, "system", false, "also those that brokers have for themselves")
	cmd.AddCommand(list,
		&cobra.Command{Use: "show TOPIC", Short: "Show the queues of a topic and what is in them", Args: cobra.ExactArgs(1), RunE: o.show(showTopic)},
		o.createTopicCommand(),
		&cobra.Command{Use: "delete TOPIC", Short: "Delete a topic with its messages and offsets", Args: cobra.ExactArgs(1), RunE: o.show(o.deleteTopic)},
	)
	return cmd
}

func (o *options) listTopics(ctx context.Context, c *client.Cluster, _ []string) (view, error) {
	if o.client.Broker != "" {
		return o.listTopicsOfBroker(ctx, c)
	}
	answer, err := c.Nameserver(ctx, client.NewRequest(remoting.RequestGetAllTopicList))
	if err != nil {
		return nil, err
	}
	var list struct {
		Topics []string `json:"topicList"`
	}
	if err := client.Decode(answer.Body, &list); err != nil {
		return nil, fmt.Errorf("list of topics: %w", err)
	}
	own, err := o.systemTopics(ctx, c)
	if err != nil {
		return nil, err
	}
	topics := names(slices.DeleteFunc(list.Topics, func(name string) bool { return own[name] }))
	slices.Sort(topics)
	return topics, nil
}

// systemTopics are the topics that brokers have for themselves, unless they are
// to be listed as well.
func (o *options) systemTopics(ctx context.Context, c *client.Cluster) (map[string]bool, error) {
	own := map[string]bool{}
	if o.system {
		return own, nil
	}
	return own, eachMaster(ctx, c, client.NewRequest(remoting.RequestGetSystemTopicListFromBroker), func(_ string, body []byte) error {
		var list struct {
			Topics []string `json:"topicList"`
		}
		err := client.Decode(body, &list)
		for _, name := range list.Topics {
			own[name] = true
		}
		return err
	})
}

func (o *options) listTopicsOfBroker(ctx context.Context, c *client.Cluster) (view, error) {
	own, err := o.systemTopics(ctx, c)
	if err != nil {
		return nil, err
	}
	found := map[string]bool{}
	err = eachMaster(ctx, c, client.NewRequest(remoting.RequestGetAllTopicConfig), func(_ string, body []byte) error {
		var all struct {
			Table map[string]any `json:"topicConfigTable"`
		}
		err := client.Decode(body, &all)
		for name := range all.Table {
			if !own[name] {
				found[name] = true
			}
		}
		return err
	})
	return sortedNames(found), err
}

func sortedNames(found map[string]bool) names {
	list := names{}
	for name := range found {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// eachMaster asks every master the same. Brokers that don't answer are named
// in the error; the others are visited.
func eachMaster(ctx context.Context, c *client.Cluster, r *remoting.Request, visit func(address string, body []byte) error) error {
	masters, err := c.Masters(ctx)
	if err != nil {
		return err
	}
	var failed []error
	for _, address := range masters {
		answer, err := c.Call(ctx, address, r)
		if err == nil {
			err = visit(address, answer.Body)
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("broker %s: %w", address, err))
		}
	}
	return errors.Join(failed...)
}

// topic is what `topics show` shows.
type topic struct {
	Topic  string             `json:"topic"`
	Route  []client.QueueData `json:"route"`
	Queues []queueState       `json:"queues"`
}

type queueState struct {
	client.QueueKey
	queueBounds
}

type queueBounds struct {
	First       int64 `json:"minOffset"`
	Next        int64 `json:"maxOffset"`
	LastUpdated int64 `json:"lastUpdateTimestamp"` // Unix milliseconds; 0 for never
}

func showTopic(ctx context.Context, c *client.Cluster, args []string) (view, error) {
	t := &topic{Topic: args[0]}
	route, err := c.Route(ctx, t.Topic)
	if err != nil {
		return nil, err
	}
	t.Route = route.Queues
	var failed []error
	for _, b := range route.Brokers {
		answer, err := c.Call(ctx, b.Reading(), client.NewRequest(remoting.RequestGetTopicStatsInfo, "topic", t.Topic))
		var stats struct {
			Table map[client.QueueKey]queueBounds `json:"offsetTable"`
		}
		if err == nil {
			err = client.Decode(answer.Body, &stats)
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("broker %s: %w", b.Name, err))
		}
		for q, bounds := range stats.Table {
			t.Queues = append(t.Queues, queueState{q, bounds})
		}
	}
	slices.SortFunc(t.Queues, func(a, b queueState) int { return client.CompareQueues(a.QueueKey, b.QueueKey) })
	return t, errors.Join(failed...)
}

func (t *topic) table(w *tabwriter.Writer) {
	fmt.Fprintln(w, "BROKER\tREAD QUEUES\tWRITE QUEUES\tPERMISSION\t")
	for _, q := range t.Route {
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t\n", q.Broker, q.ReadQueues, q.WriteQueues, permissionText(q.Permission))
	}
	fmt.Fprintln(w, "\nBROKER\tQUEUE\tFIRST\tNEXT\tMESSAGES\tLAST STORED\t")
	var messages int64
	for _, q := range t.Queues {
		last := "never"
		if q.LastUpdated > 0 {
			last = message.TimeText(q.LastUpdated)
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%s\t\n", q.Broker, q.Queue, q.First, q.Next, q.Next-q.First, last)
		messages += q.Next - q.First
	}
	fmt.Fprintf(w, "all\t\t\t\t%d\t\t\n", messages)
}

// permissionText writes the bits of a permission.
func permissionText(p int) string {
	const read, write = 4, 2
	text := ""
	if p&read != 0 {
		text += "read "
	}
	if p&write != 0 {
		text += "write"
	}
	if text == "" {
		return "none"
	}
	return strings.TrimSpace(text)
}

func (o *options) createTopicCommand() *cobra.Command {
	var queues, permission int
	var attributes string
	var order bool
	cmd := &cobra.Command{Use: "create TOPIC", Short: "Create a topic, or change it", Args: cobra.ExactArgs(1),
		RunE: o.show(func(ctx context.Context, c *client.Cluster, args []string) (view, error) {
			count := strconv.Itoa(queues)
			r := client.NewRequest(remoting.RequestUpdateAndCreateTopic, "topic", args[0], "defaultTopic", "TBW102",
				"readQueueNums", count, "writeQueueNums", count, "perm", strconv.Itoa(permission),
				"topicFilterType", "SINGLE_TAG", "topicSysFlag", "0", "order", strconv.FormatBool(order))
			if attributes != "" {
				r.Set("attributes", attributes)
			}
			return onMasters(ctx, c, fmt.Sprintf("topic %s with %d queues", args[0], queues), func(address string) error {
				_, err := c.Call(ctx, address, r)
				return err
			})
		})}
	f := cmd.Flags()
	f.IntVarP(&queues, "queues", "q", 8, "queues on each broker")
	f.IntVar(&permission, "permission", 6, "what clients may do: 4 read, 2 write, 6 both")
	f.StringVar(&attributes, "attributes", "", "attributes as RocketMQ 5 has them: +message.type=FIFO,…")
	f.BoolVar(&order, "order", false, "mark the topic as ordered")
	return cmd
}

func (o *options) deleteTopic(ctx context.Context, c *client.Cluster, args []string) (view, error) {
	request := client.NewRequest(remoting.RequestDeleteTopicInBroker, "topic", args[0])
	if _, err := c.Route(ctx, args[0]); err != nil {
		return nil, err
	}
	v, err := onMasters(ctx, c, "topic "+args[0]+" deleted", func(address string) error {
		_, err := c.Call(ctx, address, request)
		return err
	})
	if err != nil || o.client.Broker != "" {
		return v, err
	}
	for _, address := range c.Nameservers() {
		if _, failed := c.Call(ctx, address, client.NewRequest(remoting.RequestDeleteTopicInNameserver, "topic", args[0])); failed != nil {
			err = errors.Join(err, fmt.Errorf("nameserver %s: %w", address, failed))
		}
	}
	return v, err
}
