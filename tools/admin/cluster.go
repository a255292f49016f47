package admin

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/apogeemq/apogee/server/remoting"
	"github.com/apogeemq/apogee/tools/client"
)

// brokers is what `admin cluster` shows.
type brokers struct {
	Brokers []brokerState   `json:"brokers"`
	Groups  []*replicaGroup `json:"groups,omitempty"`
	// Clusters are nodes with several groups.
	Clusters []*clusterGroups `json:"clusters,omitempty"`
}

type brokerState struct {
	Cluster  string  `json:"cluster"`
	Broker   string  `json:"broker"`
	ID       string  `json:"id"` // 0 is the master
	Address  string  `json:"address"`
	Version  string  `json:"version"`
	InRate   float64 `json:"messagesInPerSecond"` // average of the last ten seconds
	OutRate  float64 `json:"messagesOutPerSecond"`
	InToday  int64   `json:"messagesInToday"`
	OutToday int64   `json:"messagesOutToday"`
	// Runtime is all that the broker tells of itself.
	Runtime map[string]string `json:"runtime,omitempty"`
	Problem string            `json:"problem,omitempty"`
}

func (o *options) clusterCommand() *cobra.Command {
	return &cobra.Command{
		Use: "cluster", Short: "Show all brokers with version and rates, and replicated groups", Args: cobra.NoArgs,
		RunE: o.show(func(ctx context.Context, c *client.Cluster, _ []string) (view, error) {
			all, err := c.Brokers(ctx)
			if err != nil {
				return nil, err
			}
			v := &brokers{Brokers: []brokerState{}}
			for _, b := range all {
				for _, id := range slices.SortedFunc(maps.Keys(b.Addresses), compareNumbers) {
					v.Brokers = append(v.Brokers, askState(ctx, c, &b, id))
				}
				if group := askGroup(ctx, c, &b); group != nil {
					v.Groups = append(v.Groups, group)
				}
			}
			for _, g := range v.Groups {
				g.diagnose(len(v.Groups) > 1)
			}
			v.Clusters = askClusters(ctx, c, all)
			return v, nil
		}),
	}
}

func compareNumbers(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) }

// askState shows also a broker that does not answer.
func askState(ctx context.Context, c *client.Cluster, b *client.Broker, id string) brokerState {
	s := brokerState{Cluster: b.Cluster, Broker: b.Name, ID: id, Address: b.Addresses[id]}
	answer, err := c.Call(ctx, s.Address, client.NewRequest(remoting.RequestGetBrokerRuntimeInfo))
	var info struct {
		Table map[string]string `json:"table"`
	}
	if err == nil {
		err = client.Decode(answer.Body, &info)
	}
	if err != nil {
		s.Problem = err.Error()
		return s
	}
	s.Runtime = info.Table
	s.Version = info.Table["brokerVersionDesc"]
	s.InRate, s.OutRate = firstNumber(info.Table["putTps"]), firstNumber(info.Table["getTransferredTps"])
	s.InToday = whole(info.Table["msgPutTotalTodayNow"]) - whole(info.Table["msgPutTotalTodayMorning"])
	s.OutToday = whole(info.Table["msgGetTotalTodayNow"]) - whole(info.Table["msgGetTotalTodayMorning"])
	return s
}

// firstNumber reads the first of the averages "10 s, 1 min, 10 min".
func firstNumber(text string) float64 {
	first, _, _ := strings.Cut(text, " ")
	n, _ := strconv.ParseFloat(first, 64) // what is no number counts as nothing
	return n
}

func whole(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}

func (b *brokers) table(w *tabwriter.Writer) {
	fmt.Fprintln(w, "CLUSTER\tBROKER\tID\tADDRESS\tVERSION\tIN/S\tOUT/S\tIN TODAY\tOUT TODAY\t")
	for _, s := range b.Brokers {
		if s.Problem != "" {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t\n", s.Cluster, s.Broker, s.ID, s.Address, s.Problem)
			continue
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%.1f\t%.1f\t%d\t%d\t\n", s.Cluster, s.Broker, s.ID, s.Address, s.Version,
			s.InRate, s.OutRate, s.InToday, s.OutToday)
	}
	for _, g := range b.Groups {
		fmt.Fprintln(w)
		g.table(w)
	}
	for _, c := range b.Clusters {
		fmt.Fprintln(w)
		c.table(w)
	}
}
