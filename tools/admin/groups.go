package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/apogeemq/apogee/server/remoting"
	"github.com/apogeemq/apogee/tools/client"
	"github.com/apogeemq/apogee/tools/message"
)

func (o *options) groupsCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "groups", Short: "List, show, create and delete consumer groups", Args: cobra.NoArgs, RunE: o.show(o.listGroups)}
	list := &cobra.Command{Use: "list", Short: "List consumer groups", Args: cobra.NoArgs, RunE: o.show(o.listGroups)}
	list.Flags().BoolVar(&o.system, "system", false, "also those that brokers have for themselves")
	cmd.AddCommand(list,
		&cobra.Command{Use: "show GROUP", Short: "Show a group's settings and its consumers", Args: cobra.ExactArgs(1), RunE: o.show(showGroup)},
		o.createGroupCommand(), o.deleteGroupCommand(),
	)
	return cmd
}

func (o *options) listGroups(ctx context.Context, c *client.Cluster, _ []string) (view, error) {
	groups, err := groupNames(ctx, c)
	if groups == nil {
		return nil, err
	}
	if !o.system {
		groups = slices.DeleteFunc(groups, isSystemGroup)
	}
	return groups, err
}

// isSystemGroup knows the groups that every RocketMQ broker has from its start
// (MixAll.isSysConsumerGroup, TopicConfigManager).
func isSystemGroup(name string) bool {
	return strings.HasPrefix(name, "CID_ONS") || strings.HasPrefix(name, "CID_RMQ_SYS_") ||
		slices.Contains([]string{"TOOLS_CONSUMER", "FILTERSRV_CONSUMER", "SELF_TEST_C_GROUP", "__MONITOR_CONSUMER"}, name)
}

// groupNames are the groups of all masters.
func groupNames(ctx context.Context, c *client.Cluster) (names, error) {
	found := map[string]bool{}
	err := eachMaster(ctx, c, client.NewRequest(remoting.RequestGetAllGroupConfig), func(_ string, body []byte) error {
		var all struct {
			Table map[string]json.RawMessage `json:"subscriptionGroupTable"`
		}
		err := client.Decode(body, &all)
		for name := range all.Table {
			found[name] = true
		}
		return err
	})
	return sortedNames(found), err
}

// group is what `groups show` shows.
type group struct {
	Group    string         `json:"group"`
	Settings groupSettings  `json:"settings"`
	Clients  []clientOf     `json:"clients"`
	Topics   []subscription `json:"subscriptions"`
}

type groupSettings struct {
	Consume      bool `json:"consumeEnable"`
	Broadcast    bool `json:"consumeBroadcastEnable"`
	Orderly      bool `json:"consumeMessageOrderly"`
	RetryQueues  int  `json:"retryQueueNums"`
	RetriesMax   int  `json:"retryMaxTimes"`
	NotifyChange bool `json:"notifyConsumerIdsChangedEnable"`

	Attributes map[string]string `json:"attributes"`
}

type clientOf struct {
	Broker   string `json:"broker"`
	ID       string `json:"clientId"`
	Address  string `json:"clientAddr"`
	Language string `json:"language"`
	Version  int    `json:"version"`
}

type subscription struct {
	Topic      string `json:"topic"`
	Expression string `json:"subString"`
	Kind       string `json:"expressionType"`
}

// connections is what a broker knows of a group's consumers.
type connections struct {
	Clients       []clientOf              `json:"connectionSet"`
	Subscriptions map[string]subscription `json:"subscriptionTable"`
}

func showGroup(ctx context.Context, c *client.Cluster, args []string) (view, error) {
	masters, err := c.Masters(ctx)
	if err != nil {
		return nil, err
	}
	g := &group{Group: args[0], Clients: []clientOf{}, Topics: []subscription{}}
	known := false
	subscriptions := map[string]subscription{}
	for _, address := range masters {
		answer, err := c.Call(ctx, address, client.NewRequest(remoting.RequestGetGroupConfig, "group", g.Group))
		if client.IsRefusal(err, remoting.ResponseGroupNotExist) {
			continue
		}
		if err == nil {
			err = client.Decode(answer.Body, &g.Settings)
		}
		if err != nil {
			return nil, err
		}
		known = true
		online, err := askConnections(ctx, c, address, g.Group)
		if err != nil {
			return nil, err
		}
		for _, member := range online.Clients {
			member.Broker = address
			g.Clients = append(g.Clients, member)
		}
		maps.Copy(subscriptions, online.Subscriptions)
	}
	if !known {
		return nil, fmt.Errorf("no broker knows group %q", g.Group)
	}
	for _, topic := range slices.Sorted(maps.Keys(subscriptions)) {
		g.Topics = append(g.Topics, subscriptions[topic])
	}
	return g, nil
}

// askConnections asks who of a group is online: nobody is no error.
func askConnections(ctx context.Context, c *client.Cluster, address, name string) (connections, error) {
	var online connections
	answer, err := c.Call(ctx, address, client.NewRequest(remoting.RequestGetConsumerConnectionList, "consumerGroup", name))
	if client.IsRefusal(err, remoting.ResponseConsumerNotOnline) || client.IsRefusal(err, remoting.ResponseSystemError) {
		return online, nil
	}
	if err == nil {
		err = client.Decode(answer.Body, &online)
	}
	return online, err
}

func (g *group) table(w *tabwriter.Writer) {
	s := g.Settings
	fmt.Fprintf(w, "consuming\t%s\t\nbroadcasting\t%s\t\nin order\t%s\t\nredeliveries\t%d\t\nretry queues\t%d\t\n",
		yesNo(s.Consume), yesNo(s.Broadcast), yesNo(s.Orderly), s.RetriesMax, s.RetryQueues)
	for _, key := range slices.Sorted(maps.Keys(s.Attributes)) {
		fmt.Fprintf(w, "%s\t%s\t\n", message.Quoted(key), message.Quoted(s.Attributes[key]))
	}
	fmt.Fprintln(w)
	if len(g.Clients) == 0 {
		fmt.Fprintln(w, "no consumer is online")
		return
	}
	fmt.Fprintln(w, "CLIENT\tADDRESS\tLANGUAGE\tVERSION\tCONNECTED TO\t")
	for _, m := range g.Clients {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\t\n", m.ID, m.Address, m.Language, m.Version, m.Broker)
	}
	fmt.Fprintln(w, "\nTOPIC\tEXPRESSION\tKIND\t")
	for _, t := range g.Topics {
		fmt.Fprintf(w, "%s\t%s\t%s\t\n", t.Topic, t.Expression, t.Kind)
	}
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func (o *options) createGroupCommand() *cobra.Command {
	var retries int
	var broadcast, orderly, track bool
	cmd := &cobra.Command{Use: "create GROUP", Short: "Create a consumer group, or change it", Args: cobra.ExactArgs(1)}
	cmd.RunE = o.show(func(ctx context.Context, c *client.Cluster, args []string) (view, error) {
		attributes := map[string]string{}
		if cmd.Flags().Changed("track-delivery") { // others than Apogee's brokers refuse it
			attributes["+trackDelivery"] = strconv.FormatBool(track)
		}
		body, err := json.Marshal(map[string]any{
			"groupName": args[0], "attributes": attributes, "consumeEnable": true, "consumeFromMinEnable": true, "consumeBroadcastEnable": broadcast,
			"consumeMessageOrderly": orderly, "retryQueueNums": 1, "retryMaxTimes": retries, "brokerId": 0,
			"whichBrokerWhenConsumeSlowly": 1, "notifyConsumerIdsChangedEnable": true,
		})
		if err != nil {
			return nil, err
		}
		return onMasters(ctx, c, "group "+args[0], func(address string) error {
			_, err := c.Call(ctx, address, &remoting.Request{Code: remoting.RequestUpdateAndCreateGroup, Body: body})
			return err
		})
	})
	f := cmd.Flags()
	f.IntVar(&retries, "retries", 16, "redeliveries before a message goes to the dead-letter topic")
	f.BoolVar(&broadcast, "broadcast", true, "consumers may broadcast")
	f.BoolVar(&orderly, "orderly", false, "messages are consumed in order")
	f.BoolVar(&track, "track-delivery", false, "record which messages were sent to whom, for apogee admin track (Apogee only)")
	return cmd
}

func (o *options) deleteGroupCommand() *cobra.Command {
	keep := false
	cmd := &cobra.Command{Use: "delete GROUP", Short: "Delete a consumer group with its offsets", Args: cobra.ExactArgs(1),
		RunE: o.show(func(ctx context.Context, c *client.Cluster, args []string) (view, error) {
			r := client.NewRequest(remoting.RequestDeleteGroup, "groupName", args[0], "cleanOffset", strconv.FormatBool(!keep))
			return onMasters(ctx, c, "group "+args[0]+" deleted", func(address string) error {
				_, err := c.Call(ctx, address, r)
				return err
			})
		})}
	cmd.Flags().BoolVar(&keep, "keep-offsets", false, "keep how far the group came, for when it is created again")
	return cmd
}
