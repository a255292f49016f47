package log

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/tools/message"
)

// dump is one run of `log dump`.
type dump struct {
	filter
	form   message.Form
	asJSON bool
	seek   bool // begin in the segment that --position or --from names
	out    *bufio.Writer
	notes  io.Writer

	shown   int64
	started bool // a frame was seen
	names   map[event.TopicID]string
	next    map[event.Queue]event.Offset // nil where offsets can't be counted
}

func dumpCommand() *cobra.Command {
	d := &dump{}
	var from, to string
	cmd := &cobra.Command{
		Use: "dump DIR", Short: "Print the events of a log", Args: oneFolder,
		Long: "Print the events of a log, oldest first. Nothing is changed; a broker may be running.\n" +
			"Kinds are " + strings.Join(kindNames(), ", ") + ".",
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if d.from, err = parseTime("from", from); err != nil {
				return failed(err)
			}
			if d.to, err = parseTime("to", to); err != nil {
				return failed(err)
			}
			d.out, d.notes = bufio.NewWriter(cmd.OutOrStdout()), cmd.ErrOrStderr()
			return failed(d.run(cmd.Context(), logFolder(args[0])))
		},
	}
	f := cmd.Flags()
	f.StringVar(&d.topic, "topic", "", "only events of this topic")
	f.StringVar(&from, "from", "", "only events stored at this `time` or later (RFC 3339 or Unix milliseconds)")
	f.StringVar(&to, "to", "", "only events stored before this `time`")
	f.Int64Var(&d.position, "position", -1, "only the event at this position, or around it")
	f.StringSliceVar(&d.kinds, "kind", nil, "only these kinds")
	f.Int64Var(&d.limit, "limit", 0, "end after so many lines (0: all)")
	f.BoolVar(&d.seek, "seek", false, "begin in the segment of --position or --from: faster, but names of topics and queue offsets from before are not known")
	f.BoolVar(&d.asJSON, "json", false, "print a JSON object per event")
	f.StringVar((*string)(&d.form), "body", string(message.Text), "bodies of messages: text, hex or none")
	return cmd
}

// errEnough ends the inspection when nothing that follows is wanted.
var errEnough = errors.New("enough")

func (d *dump) run(ctx context.Context, f folder) error {
	if err := d.check(); err != nil {
		return err
	}
	if err := d.form.Check(); err != nil {
		return err
	}
	d.names, d.next = make(map[event.TopicID]string), make(map[event.Queue]event.Offset)
	o := commitlog.Inspection{
		Folder: f, Again: again, Event: d.event,
		Frame: func(f commitlog.Frame) error { return errors.Join(ctx.Err(), d.frame(&f)) },
		Finding: func(f commitlog.Finding) {
			fmt.Fprintln(d.notes, "apogee:", f)
			if !errors.Is(f.Err, commitlog.ErrTorn) {
				d.next = nil // offsets behind a gap are not known
			}
		},
	}
	if d.seek {
		o.From, o.FromTimestamp = event.Position(max(d.position, 0)), d.from
	}
	_, err := commitlog.Inspect(o)
	if errors.Is(err, errEnough) {
		err = nil
	}
	return errors.Join(err, d.out.Flush())
}

// frame shows a frame that holds no events.
func (d *dump) frame(f *commitlog.Frame) error {
	if !d.started && f.Index > 1 {
		d.next = nil // trimmed, or passed over
	}
	d.started = true
	l := frameLine(f)
	if f.Kind == commitlog.FrameEvents {
		if d.passed(l) {
			return errEnough
		}
		return nil
	}
	if d.wants(l, int(f.DataBytes)) && d.wantsTopic(l) {
		return d.show(l)
	}
	return nil
}

func (d *dump) event(f commitlog.Frame, e commitlog.Event) error {
	l := eventLine(&f, e)
	l.Topic = d.names[l.TopicID]
	l.Offset = d.count(e.Bytes)
	d.learn(e.Bytes)
	if !d.wants(l, len(e.Bytes)) || d.topic != "" && l.Topic != "" && l.Topic != d.topic {
		return nil
	}
	l.decode(e.Bytes, d.form)
	if l.Config != nil {
		l.Topic = l.Config.Name
	}
	if !d.wantsTopic(l) {
		return nil
	}
	return d.show(l)
}

// learn keeps the names of topics.
func (d *dump) learn(e event.Event) {
	if e.Kind() != event.KindTopic {
		return
	}
	if c, err := event.DecodeTopicConfig(e.Payload()); err == nil {
		d.names[e.Topic()] = c.Name
	}
}

// count gives an event its queue offset, as the queue index does: by order
// alone.
func (d *dump) count(e event.Event) *event.Offset {
	if e.Stream() != event.StreamQueue || d.next == nil {
		return nil
	}
	offset := d.next[e.Queue()]
	d.next[e.Queue()] = offset + 1
	return &offset
}

func (d *dump) show(l *line) error {
	d.shown++
	var err error
	if d.asJSON {
		err = l.printJSON(d.out)
	} else {
		err = l.print(d.out, func(t event.TopicID) string { return d.names[t] })
	}
	if err == nil && d.limit > 0 && d.shown >= d.limit {
		err = errEnough
	}
	return err
}
