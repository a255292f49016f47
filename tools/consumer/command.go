package consumer

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/apogeemq/apogee/tools/client"
	"github.com/apogeemq/apogee/tools/message"
)

// options are what the command line says.
type options struct {
	client    client.Options
	topic     string
	group     string
	from      string
	tag       string
	queue     int
	count     int64
	stopAtEnd bool
	asJSON    bool
	bodyOnly  bool
	form      message.Form
}

// Command is `apogee consume`.
func Command() *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{
		Use: "consume TOPIC", Short: "Print messages as they come",
		Long: "Print the messages of a topic and go on as they come, until Ctrl-C. Bodies are shown\n" +
			"decompressed. Without --group nothing is stored about what was read. Works with every\nRocketMQ broker.",
		Example: "  apogee consume hello\n  apogee consume orders --tag 'paid || sent' --from 2026-01-31T12:00:00Z --stop-at-end\n  apogee consume logs --from latest --body-only",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.topic = args[0]
			if err := o.check(); err != nil {
				return err
			}
			return o.run(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	o.client.AddFlags(cmd)
	f := cmd.Flags()
	f.StringVarP(&o.group, "group", "g", "", "consumer group: go on where it stopped, and store how far this came")
	f.StringVar(&o.from, "from", earliest, "where to begin: earliest, latest, offset:`N`, or a time (RFC 3339 or Unix milliseconds)")
	f.StringVarP(&o.tag, "tag", "t", "*", "only messages with this tag, or one of several: 'a || b'")
	f.IntVar(&o.queue, "queue", -1, "read only this queue (-1: all)")
	f.Int64VarP(&o.count, "count", "c", 0, "end after so many messages (0: never)")
	f.BoolVar(&o.stopAtEnd, "stop-at-end", false, "end where the queues end now, instead of waiting for more")
	f.BoolVar(&o.asJSON, "json", false, "print a JSON object for each message")
	f.BoolVar(&o.bodyOnly, "body-only", false, "print the bodies as they are, each with a line end")
	f.StringVar((*string)(&o.form), "body", string(message.Text), "how bodies are shown: text, hex or none")
	return cmd
}

func (o *options) check() error {
	if err := o.form.Check(); err != nil {
		return err
	}
	if _, err := parseStart(o.from); err != nil {
		return err
	}
	switch {
	case o.count < 0:
		return fmt.Errorf("--count %d is not allowed: use 0 (all) or more", o.count)
	case o.queue < -1:
		return fmt.Errorf("--queue %d is not allowed: use the number of a queue, or -1 for all", o.queue)
	case o.asJSON && o.bodyOnly:
		return fmt.Errorf("--json and --body-only exclude each other")
	}
	return nil
}
