package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/apogeemq/apogee/tools/client"
)

// options are what all commands have in common.
type options struct {
	client client.Options
	asJSON bool
	system bool // lists have what brokers have for themselves
}

// Command is `apogee admin`.
func Command() *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{
		Use: "admin", Short: "Show and change topics, groups and offsets of brokers",
		Long: "Show and change topics, groups and offsets. Works with every RocketMQ broker and nameserver.",
	}
	o.client.AddFlags(cmd)
	cmd.PersistentFlags().BoolVar(&o.asJSON, "json", false, "print JSON instead of a table")
	cmd.AddCommand(o.groupCommands()...)
	cmd.AddCommand(o.clusterCommands()...)
	cmd.AddCommand(o.clusterCommand(), o.compareCommand(), o.topicsCommand(), o.groupsCommand(), o.lagCommand(), o.messageCommand(), o.trackCommand(), o.resetCommand())
	return cmd
}

// view is what a command shows.
type view interface {
	// table writes it for people.
	table(w *tabwriter.Writer)
}

// show is the body of a command that shows something.
func (o *options) show(f func(ctx context.Context, c *client.Cluster, args []string) (view, error)) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		cluster, err := o.client.Open()
		if err != nil {
			return err
		}
		defer cluster.Close()
		v, err := f(cmd.Context(), cluster, args)
		if v == nil {
			return err
		}
		return errors.Join(o.print(cmd.OutOrStdout(), v), err)
	}
}

func (o *options) print(w io.Writer, v view) error {
	if o.asJSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(v)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	v.table(table)
	return table.Flush()
}

// done says in one line what a change has done.
type done struct {
	Done    string   `json:"done"`
	Brokers []string `json:"brokers"`
}

func (d *done) table(w *tabwriter.Writer) { fmt.Fprintf(w, "%s on %v\n", d.Done, d.Brokers) }

// onMasters does the same on every master and tells where it worked.
func onMasters(ctx context.Context, c *client.Cluster, what string, f func(address string) error) (view, error) {
	masters, err := c.Masters(ctx)
	if err != nil {
		return nil, err
	}
	d := &done{Done: what}
	var failed []error
	for _, address := range masters {
		if err := f(address); err != nil {
			failed = append(failed, err)
			continue
		}
		d.Brokers = append(d.Brokers, address)
	}
	if len(d.Brokers) == 0 {
		return nil, errors.Join(failed...)
	}
	return d, errors.Join(failed...)
}
