package log

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/tools/message"
)

// line is what dump shows of one event, or of a frame that holds none.
type line struct {
	Index        event.Index          `json:"index"`
	Position     event.Position       `json:"position"`
	Timestamp    int64                `json:"timestamp"`
	Kind         string               `json:"kind"`
	Topic        string               `json:"topic,omitempty"` // "" where the name is unknown
	TopicID      event.TopicID        `json:"topicId,omitempty"`
	Queue        uint32               `json:"queue"`
	Offset       *event.Offset        `json:"offset,omitempty"` // none where it can't be counted
	Tag          int32                `json:"tag,omitempty"`
	Due          int64                `json:"due,omitempty"`
	Cause        event.Position       `json:"cause,omitempty"`
	Keys         []uint64             `json:"keys,omitempty"` // hashes
	PayloadBytes int                  `json:"payloadBytes"`
	Message      *message.Message     `json:"message,omitempty"`
	Config       *event.TopicConfig   `json:"topicConfig,omitempty"`
	Commits      []event.OffsetCommit `json:"commits,omitempty"`
	Deliveries   []event.Delivery     `json:"deliveries,omitempty"`
	Trim         *trimmed             `json:"trim,omitempty"`
	Lost         *lost                `json:"lost,omitempty"`
	Reason       string               `json:"reason,omitempty"`  // why a waiting message ended unseen
	Problem      string               `json:"problem,omitempty"` // the payload isn't what the kind says
}

// trimmed is what an event of retention says.
type trimmed struct {
	Through  event.Index    `json:"through"`  // last frame that went
	Position event.Position `json:"position"` // where the log begins since
	Cause    string         `json:"cause"`
}

// lost is what an event says after which confirmed messages may be missing.
type lost struct {
	Kept     event.Index    `json:"kept"`          // last frame that was there
	Position event.Position `json:"position"`      // after it
	Had      event.Index    `json:"had,omitempty"` // last frame of which it is known that it had been there
	Cause    string         `json:"cause"`
}

// frameLine shows a frame that holds no events.
func frameLine(f *commitlog.Frame) *line {
	return &line{Index: f.Index, Position: f.Position, Timestamp: f.Timestamp, Kind: f.Kind.String(), PayloadBytes: int(f.DataBytes)}
}

// eventLine shows the envelope of an event.
func eventLine(f *commitlog.Frame, e commitlog.Event) *line {
	b := e.Bytes
	l := &line{
		Index: f.Index, Position: e.Position, Timestamp: e.Timestamp, Kind: b.Kind().String(), TopicID: b.Topic(),
		Queue: b.Queue().ID, Tag: b.Tag(), Due: b.Due(), Cause: b.Cause(), PayloadBytes: len(b.Payload()),
	}
	for i := range b.KeyCount() {
		l.Keys = append(l.Keys, b.Key(i))
	}
	return l
}

// decode fills in the payload.
func (l *line) decode(e event.Event, form message.Form) {
	var err error
	switch e.Kind() {
	case event.KindMessage, event.KindDelayed, event.KindHalf:
		if l.Message, err = message.Decode(e.Payload(), form); err == nil && l.Topic == "" {
			l.Topic = l.Message.Topic
		}
	case event.KindTopic:
		var c event.TopicConfig
		if c, err = event.DecodeTopicConfig(e.Payload()); err == nil {
			l.Config = &c
		}
	case event.KindOffsets:
		l.Commits, err = event.DecodeOffsetCommits(e.Payload())
	case event.KindDelivered:
		l.Deliveries, err = event.DecodeDeliveries(e.Payload())
	case event.KindDropped:
		var d event.Drop
		if d, err = event.DecodeDrop(e.Payload()); err == nil {
			l.Reason = d.Reason.String()
		}
	case event.KindMoved:
		var m event.Move
		if m, err = event.DecodeMove(e.Payload()); err == nil {
			l.Message, err = message.Decode(m.Payload, form)
		}
	case event.KindTrim:
		var t event.Trim
		if t, err = event.DecodeTrim(e.Payload()); err == nil {
			l.Trim = &trimmed{Through: t.Through, Position: t.Position, Cause: t.Cause.String()}
		}
	case event.KindLost:
		var t event.Lost
		if t, err = event.DecodeLost(e.Payload()); err == nil {
			l.Lost = &lost{Kept: t.Kept, Position: t.Position, Had: t.Had, Cause: t.Cause.String()}
		}
	}
	if err != nil {
		l.Problem = err.Error()
	}
}

func (l *line) printJSON(w io.Writer) error { return json.NewEncoder(w).Encode(l) }

// print writes the line and the payload below it.
func (l *line) print(w io.Writer, names func(event.TopicID) string) error {
	var b strings.Builder
	fmt.Fprintf(&b, "index=%d position=%d time=%s kind=%s", l.Index, l.Position, message.TimeText(l.Timestamp), l.Kind)
	if l.TopicID != 0 {
		fmt.Fprintf(&b, " topic=%s#%d queue=%d", message.Quoted(l.Topic), l.TopicID, l.Queue)
	}
	if l.Offset != nil {
		fmt.Fprintf(&b, " offset=%d", *l.Offset)
	}
	if l.Tag != 0 {
		fmt.Fprintf(&b, " tag=%d", l.Tag)
	}
	if l.Due != 0 {
		fmt.Fprintf(&b, " due=%s", message.TimeText(l.Due))
	}
	if l.Cause != 0 {
		fmt.Fprintf(&b, " cause=%d", l.Cause)
	}
	if len(l.Keys) > 0 {
		fmt.Fprintf(&b, " keys=%x", l.Keys)
	}
	fmt.Fprintf(&b, " payload=%d\n", l.PayloadBytes)
	l.printPayload(&b, names)
	_, err := io.WriteString(w, b.String())
	return err
}

func (l *line) printPayload(w io.Writer, names func(event.TopicID) string) {
	if l.Problem != "" {
		fmt.Fprintf(w, "  problem: %s\n", l.Problem)
	}
	if l.Message != nil {
		l.Message.Print(w)
	}
	if c := l.Config; c != nil {
		fmt.Fprintf(w, "  name=%s read-queues=%d write-queues=%d\n", message.Quoted(c.Name), c.ReadQueues, c.WriteQueues)
		for _, a := range c.Attributes {
			fmt.Fprintf(w, "  %s=%s\n", message.Quoted(a.Key), message.Quoted(a.Value))
		}
	}
	if t := l.Lost; t != nil {
		fmt.Fprintf(w, "  messages may be missing that were confirmed: cause=%s kept=%d position=%d had=%d\n", t.Cause, t.Kept, t.Position, t.Had)
	}
	if t := l.Trim; t != nil {
		fmt.Fprintf(w, "  through=%d position=%d cause=%s\n", t.Through, t.Position, t.Cause)
	}
	if l.Reason != "" {
		fmt.Fprintf(w, "  reason=%s\n", message.Quoted(l.Reason))
	}
	for _, d := range l.Deliveries {
		fmt.Fprintf(w, "  group=%s topic=%s#%d queue=%d from=%d to=%d messages=%d client=%s time=%s\n", message.Quoted(d.Group),
			message.Quoted(names(d.Queue.Topic)), d.Queue.Topic, d.Queue.ID, d.First, d.Next-1, d.Messages, message.Quoted(d.Client), message.TimeText(d.Since))
	}
	for _, c := range l.Commits {
		fmt.Fprintf(w, "  group=%s topic=%s#%d queue=%d offset=%d client=%s\n", message.Quoted(c.Group), message.Quoted(names(c.Queue.Topic)), c.Queue.Topic,
			c.Queue.ID, c.Offset, message.Quoted(c.Client))
	}
}
