package chaos

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/apogeemq/apogee/bench/chaos/cluster"
)

// failoverRow is a row of the table: what is done to whom.
type failoverRow struct {
	name, title string
	topology    string
	java        bool
	poll        time.Duration // pollNameServerInterval; 0: the client's default
	strike      blow
	goal        time.Duration // the longest time without SEND_OK, median
}

// blow is done once in a run. It tells whom it struck.
type blow func(ctx context.Context, c *cluster.Cluster, random *rand.Rand) (string, error)

var allFailoverRows = []failoverRow{
	{"groups-go", "three groups, a node killed for good, Go producer with default settings", "cluster", false, 0, killAny, 1500 * time.Millisecond},
	{"groups-java", "three groups, a node killed for good, Java producer with default settings", "cluster", true, 0, killAny, 1500 * time.Millisecond},
	{"group-poll", "one group, its leader killed for good, Java producer with pollNameServerInterval=500", "group", true, 500 * time.Millisecond, killLeader, 1500 * time.Millisecond},
	{"transfer-go", "one group, planned transfer, Go producer with default settings", "group", false, 0, transfer, 500 * time.Millisecond},
	{"transfer-java", "one group, planned transfer, Java producer with default settings", "group", true, 0, transfer, 500 * time.Millisecond},
}

func killAny(_ context.Context, c *cluster.Cluster, random *rand.Rand) (string, error) {
	n := c.Nodes()[random.IntN(len(c.Nodes()))]
	return "kill -9 of node " + n.Name(), n.Kill()
}

func killLeader(ctx context.Context, c *cluster.Cluster, _ *rand.Rand) (string, error) {
	n, err := c.Leader(ctx, 0)
	if err != nil {
		return "", err
	}
	return "kill -9 of the leader " + n.Name(), n.Kill()
}

func transfer(ctx context.Context, c *cluster.Cluster, random *rand.Rand) (string, error) {
	n, err := c.Leader(ctx, 0)
	if err != nil {
		return "", err
	}
	rest := others(c, n)
	to := rest[random.IntN(len(rest))]
	text := fmt.Sprintf("transfer from %s to %s", n.Name(), to.Name())
	if err := c.Transfer(ctx, 0, to); err != nil {
		text += fmt.Sprintf(" (%v)", err) // what that costs producers is measured all the same
	}
	return text, nil
}

func failoverNames() []string {
	var names []string
	for _, r := range allFailoverRows {
		names = append(names, r.name)
	}
	return names
}

// failoverRows finds rows by their names, in the table's order.
func failoverRows(names []string) ([]failoverRow, error) {
	var found []failoverRow
	for _, name := range names {
		if !slices.Contains(failoverNames(), name) {
			return nil, fmt.Errorf("row %q is not allowed: use some of %s", name, strings.Join(failoverNames(), ", "))
		}
	}
	for _, r := range allFailoverRows {
		if slices.Contains(names, r.name) {
			if _, err := cluster.TopologyNamed(r.topology); err != nil {
				return nil, err
			}
			found = append(found, r)
		}
	}
	return found, nil
}

// Render is the results as Markdown.
func (r *FailoverResults) Render() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Measured on %s: %d cores, %s, %s, %s; three processes and the producer on one machine. %d sends a second for %v.\n\n",
		r.Started.Format("2 January 2006"), r.Machine.Cores, r.Machine.Memory, r.Machine.System, r.Machine.Go, r.Rate, r.Length)
	b.WriteString("| what happens | runs | longest time without SEND_OK, s: median | smallest – largest | goal | | confirmed and lost |\n|---|--:|--:|--:|--:|---|---|\n")
	for _, row := range allFailoverRows {
		var gaps []time.Duration
		broken := 0
		for _, run := range r.Runs {
			if run.Row != row.name {
				continue
			}
			gaps = append(gaps, run.Gap)
			if run.Broken != "" {
				broken++
			}
		}
		if len(gaps) == 0 {
			continue
		}
		verdict, lost := "met", "nothing"
		if median(gaps) > row.goal {
			verdict = "missed"
		}
		if broken > 0 {
			lost = fmt.Sprintf("promises broken in %d runs", broken)
		}
		fmt.Fprintf(&b, "| %s | %d | %.3f | %.3f – %.3f | ≤ %.1f | %s | %s |\n", row.title, len(gaps), median(gaps).Seconds(),
			slices.Min(gaps).Seconds(), slices.Max(gaps).Seconds(), row.goal.Seconds(), verdict, lost)
	}
	fmt.Fprintf(&b, "\n```\n%s\n```\n", r.Command)
	return b.String()
}

// median of an even number is the mean of the two in the middle.
func median(all []time.Duration) time.Duration {
	sorted := slices.SortedFunc(slices.Values(all), cmp.Compare)
	middle := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[middle-1] + sorted[middle]) / 2
	}
	return sorted[middle]
}
