package admin

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/apogeemq/apogee/server/broker/track"
	"github.com/apogeemq/apogee/server/remoting"
	"github.com/apogeemq/apogee/tools/client"
	"github.com/apogeemq/apogee/tools/message"
)

// tracked is what became of the messages with an id, by broker.
type tracked []track.Answer

func (o *options) trackCommand() *cobra.Command {
	topic := ""
	cmd := &cobra.Command{Use: "track ID", Args: cobra.ExactArgs(1),
		Short: "Show what each group has done with a message, by message id or unique key",
		Long: "Show for each consumer group who has acknowledged a message and when, in which try it is, or where its dead letter is.\n" +
			"ID is the id that a broker gave (offsetMsgId) or the unique key that a client gave (msgId). It is read from the events in\n" +
			"the log; what is not there reads not recorded. Only Apogee's brokers know the request.",
		RunE: o.show(func(ctx context.Context, c *client.Cluster, args []string) (view, error) {
			return trackMessage(ctx, c, args[0], topic)
		})}
	cmd.Flags().StringVar(&topic, "topic", "", "topic of the message (default: a unique key is looked for in all topics)")
	return cmd
}

// trackMessage asks all brokers: any may have a message with a unique key.
func trackMessage(ctx context.Context, c *client.Cluster, id, topic string) (view, error) {
	masters, err := c.Masters(ctx)
	if err != nil {
		return nil, err
	}
	all := tracked{}
	var failed []error
	for _, address := range masters {
		answer, err := c.Call(ctx, address, client.NewRequest(remoting.RequestTrackMessage, "id", id, "topic", topic))
		switch {
		case client.IsRefusal(err, remoting.ResponseQueryNotFound):
			continue
		case client.IsRefusal(err, remoting.ResponseRequestCodeNotSupported):
			err = fmt.Errorf("%s doesn't know the request: it is no broker of Apogee, or an older one", address)
		case err == nil:
			var found track.Answer
			if err = client.Decode(answer.Body, &found); err == nil {
				all = append(all, found)
			}
		}
		if err != nil {
			failed = append(failed, err)
		}
	}
	if len(all) == 0 && len(failed) == 0 {
		failed = append(failed, fmt.Errorf("no broker has a message with the id %s in its log: it never was, or retention has dropped it", id))
	}
	if len(all) == 0 {
		return nil, errors.Join(failed...)
	}
	return all, errors.Join(failed...)
}

func (t tracked) table(w *tabwriter.Writer) {
	first := true
	for _, answer := range t {
		for i := range answer.Messages {
			if !first {
				fmt.Fprintln(w)
			}
			first = false
			trackTable(w, answer.Broker, &answer.Messages[i])
		}
	}
}

func trackTable(w *tabwriter.Writer, broker string, m *track.Message) {
	fmt.Fprintf(w, "%s queue %d", message.Quoted(m.Topic), m.Queue)
	if m.Offset >= 0 {
		fmt.Fprintf(w, " offset %d", m.Offset)
	}
	fmt.Fprintf(w, " on %s, stored %s\nmessage id %s, unique key %s\n", broker, message.TimeText(m.StoredAt), m.ID, orNone(m.UniqueKey))
	switch {
	case m.State == track.Delayed:
		fmt.Fprintf(w, "it waits until %s\n", message.TimeText(m.Due))
	case m.State == track.Half:
		fmt.Fprintf(w, "it waits for the outcome of its transaction; its producers were asked %d times, next at %s\n", m.Asked, message.TimeText(m.Due))
	case m.State == track.CopyFound:
		fmt.Fprintln(w, "the message itself is gone; this is a copy for a retry or a dead letter")
	case m.EndedAt > 0:
		fmt.Fprintf(w, "nobody will see it: %s at %s\n", m.State, message.TimeText(m.EndedAt))
	case m.State != track.Stored:
		fmt.Fprintf(w, "%s\n", m.State)
	case len(m.Groups) == 0:
		fmt.Fprintln(w, "no group consumes the topic")
	}
	if len(m.Groups) == 0 {
		return
	}
	fmt.Fprintln(w, "\nGROUP\tSTATE\tTIME\tCLIENT\tDETAILS\t")
	for i := range m.Groups {
		groupRows(w, m, &m.Groups[i])
	}
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// groupRows are a group's state, and below it what led there.
func groupRows(w *tabwriter.Writer, m *track.Message, g *track.Group) {
	row := func(name string, state any, millis int64, client, details string) {
		at := ""
		if millis > 0 {
			at = message.TimeText(millis)
		}
		fmt.Fprintf(w, "%s\t%v\t%s\t%s\t%s\t\n", name, state, at, client, details)
	}
	note := g.Note
	if g.Behind != nil {
		note = joined(fmt.Sprintf("%d messages of the queue come before it", *g.Behind), note)
	}
	a := g.Acknowledged
	if a != nil {
		note = joined(acknowledgedText(a, m.StoredAt), note)
	}
	switch {
	case len(g.Tries) == 0 && len(g.Deliveries) == 0 && g.Dead == nil && a != nil:
		row(g.Group, g.State, a.Time, a.Client, note)
		return
	case a != nil:
		row(g.Group, g.State, 0, "", "")
		deliveryRows(row, "  delivered", g.Deliveries)
		row("", "  acknowledged", a.Time, a.Client, joined(sinceDelivery(a, g.Deliveries), note))
	default:
		row(g.Group, g.State, 0, "", note)
		deliveryRows(row, "  delivered", g.Deliveries)
	}
	for i := range g.Tries {
		tryRow(row, &g.Tries[i])
	}
	if d := g.Dead; d != nil {
		row("", "  dead letter", d.StoredAt, "", placeText(d))
	}
}

// rowFunc writes a row of the table; 0 stands for no time.
type rowFunc func(name string, state any, millis int64, client, details string)

func deliveryRows(row rowFunc, state string, deliveries []track.Delivery) {
	for _, d := range deliveries {
		details := ""
		if d.Until > d.Since {
			details = fmt.Sprintf("or up to %v later", time.Duration(d.Until-d.Since)*time.Millisecond)
		}
		if d.Gaps {
			details = joined("perhaps: a filter left out messages near it", details)
		}
		row("", state, d.Since, d.Client, details)
	}
}

// sinceDelivery is how long the consumer took, as far as the deliveries tell: a
// client that acknowledges before its work is done takes next to nothing.
func sinceDelivery(a *track.Acknowledgment, deliveries []track.Delivery) string {
	took := int64(-1)
	for _, d := range deliveries {
		if a.Exact && d.Since <= a.Time {
			took = a.Time - d.Since
		}
	}
	if took < 0 {
		return ""
	}
	return fmt.Sprintf("%v after its last delivery", time.Duration(took)*time.Millisecond)
}

func joined(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "; " + b
}

func acknowledgedText(a *track.Acknowledgment, stored int64) string {
	if !a.Exact {
		return ""
	}
	from := "the beginning"
	if a.From >= 0 {
		from = fmt.Sprint(a.From)
	}
	return fmt.Sprintf("%v after it was stored, with the offsets from %s to %d", time.Duration(a.Time-stored)*time.Millisecond, from, a.To-1)
}

func tryRow(row rowFunc, t *track.Try) {
	deliveryRows(row, fmt.Sprintf("  try %d delivered", t.Number), t.Deliveries)
	state, details := fmt.Sprintf("  try %d %s", t.Number, t.State), ""
	if t.SentBackAt > 0 {
		details = "sent back " + message.TimeText(t.SentBackAt)
	}
	if t.Place != nil {
		details = joined(details, placeText(t.Place))
	}
	switch {
	case t.Acknowledged != nil:
		row("", state, t.Acknowledged.Time, t.Acknowledged.Client, joined(sinceDelivery(t.Acknowledged, t.Deliveries), details))
	case t.State == track.TryWaiting:
		row("", state, t.Due, "", joined("due then", details))
	case t.Place != nil:
		row("", state, t.Place.StoredAt, "", details)
	default:
		row("", state, 0, "", details)
	}
}

func placeText(p *track.Place) string {
	return fmt.Sprintf("%s queue %d offset %d", message.Quoted(p.Topic), p.Queue, p.Offset)
}
