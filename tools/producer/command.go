package producer

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/apogeemq/apogee/tools/client"
)

// lineBytesMax bounds a line of the standard input: a frame holds no more.
const lineBytesMax = 16 << 20

// options are what the command line says of the messages.
type options struct {
	client     client.Options
	topic      string
	tag        string
	keys       []string
	properties []string
	group      string
	queue      int
	count      int
	quiet      bool
}

// Command is `apogee produce`.
func Command() *cobra.Command {
	o := &options{}
	cmd := &cobra.Command{
		Use: "produce TOPIC [BODY]…", Short: "Send messages",
		Long: "Send messages, one for each BODY; without BODY, one for each line of the standard input.\n" +
			"Works with every RocketMQ broker.",
		Example: "  apogee produce hello 'hello world'\n  apogee produce orders --tag paid --key 4711 '{\"id\":4711}'\n  tail -f app.log | apogee produce logs -q",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.topic = args[0]
			return o.run(cmd.Context(), args[1:], cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	o.client.AddFlags(cmd)
	f := cmd.Flags()
	f.StringVarP(&o.tag, "tag", "t", "", "tag of the messages")
	f.StringArrayVarP(&o.keys, "key", "k", nil, "key to find the messages by; may be repeated")
	f.StringArrayVarP(&o.properties, "property", "p", nil, "property `name=value` of the messages; may be repeated")
	f.StringVar(&o.group, "group", "apogee-produce", "producer group")
	f.IntVar(&o.queue, "queue", -1, "send to this queue (-1: to all in turn)")
	f.IntVarP(&o.count, "count", "c", 1, "send each message so many times")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "don't print a line for each message")
	return cmd
}

func (o *options) check() error {
	switch {
	case o.count < 1:
		return fmt.Errorf("--count %d is not allowed: use 1 or more", o.count)
	case o.queue < -1:
		return fmt.Errorf("--queue %d is not allowed: use the number of a queue, or -1 for all in turn", o.queue)
	}
	_, err := o.encodedProperties("")
	return err
}

// run sends all bodies.
func (o *options) run(ctx context.Context, bodies []string, in io.Reader, out, notes io.Writer) error {
	if err := o.check(); err != nil {
		return err
	}
	cluster, err := o.client.Open()
	if err != nil {
		return err
	}
	defer cluster.Close()
	s, err := newSender(ctx, cluster, o, out)
	if err != nil {
		return err
	}
	if len(bodies) == 0 {
		if isTerminal(in) {
			fmt.Fprintln(notes, "apogee: every line that you type is a message; Ctrl-D ends")
		}
		err = s.lines(ctx, in)
	}
	for _, body := range bodies {
		if err == nil {
			err = s.body(ctx, []byte(body))
		}
	}
	if o.quiet || len(bodies) == 0 {
		fmt.Fprintf(notes, "%d messages sent to %s\n", s.sent, o.topic)
	}
	return err
}

// lines sends each line until the input or the context ends.
func (s *sender) lines(ctx context.Context, in io.Reader) error {
	lines := make(chan []byte)
	ended := make(chan error, 1)
	go func() {
		scanner := bufio.NewScanner(in)
		scanner.Buffer(make([]byte, 64<<10), lineBytesMax)
		for scanner.Scan() {
			select {
			case lines <- append([]byte(nil), scanner.Bytes()...):
			case <-ctx.Done():
				return
			}
		}
		ended <- scanner.Err()
	}()
	for {
		select {
		case line := <-lines:
			if len(line) == 0 {
				continue // a message must have a body
			}
			if err := s.body(ctx, line); err != nil {
				return err
			}
		case err := <-ended:
			if errors.Is(err, bufio.ErrTooLong) {
				err = fmt.Errorf("read standard input: a line has more than %d bytes", lineBytesMax)
			}
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

func isTerminal(in io.Reader) bool {
	f, ok := in.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// reserved separate properties and can stand in none.
const reserved = "\x01\x02"

// encodedProperties are the properties of one message on the wire.
func (o *options) encodedProperties(uniqueKey string) (string, error) {
	var b strings.Builder
	add := func(name, value string) error {
		if name == "" || strings.ContainsAny(name+value, reserved) {
			return fmt.Errorf("property %q=%q is not allowed: it needs a name, and no bytes 1 and 2", name, value)
		}
		if value != "" {
			b.WriteString(name + "\x01" + value + "\x02")
		}
		return nil
	}
	err := errors.Join(add("UNIQ_KEY", uniqueKey), add("WAIT", "true"), add("TAGS", o.tag), add("KEYS", strings.Join(o.keys, " ")))
	for _, p := range o.properties {
		name, value, ok := strings.Cut(p, "=")
		if !ok {
			return "", fmt.Errorf("--property %q is not allowed: use name=value", p)
		}
		err = errors.Join(err, add(name, value))
	}
	return b.String(), err
}
