package track

import (
	"cmp"
	"slices"

	"github.com/apogeemq/apogee/engine/event"
)

// Notes of groups whose log says nothing.
const (
	noteBroadcast = "the group broadcasts: its members keep their offsets themselves"
	notePulls     = "the group pulls and has committed nothing in this queue"
	noteNothing   = "the group has committed nothing in this queue"
	noteFirst     = "the group's first commit in this queue: it may have begun behind the message"
	noteInexact   = "the commit itself is not recorded: it came at this time or before"
	noteFiltered  = "the group's subscription today doesn't take the message"
	noteGaps      = "it was perhaps delivered: a filter left out messages near it"
	noteNoKey     = "the message has no unique key: whether it was sent back is not recorded"
)

// follow finds out what the groups have done with a message.
func (t *Tracker) follow(m *found) error {
	if m.State != Stored && m.State != CopyFound {
		return nil
	}
	f := &finder{Tracker: t}
	tries, err := f.tries(m)
	if err != nil {
		return err
	}
	for _, c := range t.consumersOf(m, tries) {
		g, err := f.group(m, c, tries[c.Group])
		if err != nil {
			return err
		}
		if !c.Uncertain || len(g.Deliveries) > 0 || len(g.Tries) > 0 || g.Dead != nil {
			m.Groups = append(m.Groups, g)
		}
	}
	return nil
}

// consumersOf are the groups to tell about: those with copies besides those
// that the broker knows; of a copy, the one it is for.
func (t *Tracker) consumersOf(m *found, tries map[string][]Try) []Consumer {
	if m.copyFor != "" {
		return []Consumer{{Group: m.copyFor}}
	}
	list := t.Consumers(m.topic, m.queue)
	for group := range tries {
		if !slices.ContainsFunc(list, func(c Consumer) bool { return c.Group == group }) {
			list = append(list, Consumer{Group: group})
		}
	}
	slices.SortFunc(list, func(a, b Consumer) int { return cmp.Compare(a.Group, b.Group) })
	return list
}

// group tells about one group.
func (f *finder) group(m *found, c Consumer, tries []Try) (g Group, err error) {
	g.Group, g.Tries = c.Group, tries
	if m.copyFor == "" {
		if err := f.progress(&g, m, c); err != nil {
			return g, err
		}
		if g.Deliveries, err = f.deliveries(c.Group, m.queue, m.Offset, m.Position); err != nil {
			return g, err
		}
		g.judgeDeliveries()
	}
	if m.UniqueKey == "" {
		g.addNote(noteNoKey)
		return g, nil
	}
	if err := f.stored(&g, m); err != nil {
		return g, err
	}
	if n := len(g.Tries); n > 0 {
		g.State = Retrying
		if last := &g.Tries[n-1]; last.State == TryAcknowledged {
			g.State = stateOf(last.Acknowledged)
		}
	}
	if g.Dead != nil {
		g.State = Dead
	}
	return g, nil
}

// progress tells whether the group's offset has passed the message.
func (f *finder) progress(g *Group, m *found, c Consumer) error {
	committed, some := f.Offsets.Get(c.Group, m.queue)
	switch {
	case c.Broadcasting:
		g.State = NotRecorded
		g.addNote(noteBroadcast)
		return nil
	case !some && c.Pulls:
		g.State = NotRecorded
		g.addNote(notePulls)
		return nil
	case !some:
		g.State = NotConsumed
		g.addNote(noteNothing)
		return nil
	case committed.Offset <= m.Offset:
		behind := int64(m.Offset - committed.Offset)
		g.State, g.Behind = NotConsumed, &behind
	default:
		a, err := f.acknowledgment(c.Group, m.queue, m.Offset, m.Position)
		if err != nil {
			return err
		}
		g.State, g.Acknowledged = stateOf(a), a
		switch {
		case !a.Exact:
			g.addNote(noteInexact)
		case a.From < 0 && g.State == Acknowledged:
			g.addNote(noteFirst)
		}
	}
	if c.Wants != nil && !c.Wants(&m.Message, m.payload) {
		g.addNote(noteFiltered)
	}
	return nil
}

// judgeDeliveries lets what was sent count where nothing was acknowledged.
func (g *Group) judgeDeliveries() {
	switch {
	case g.Acknowledged != nil || len(g.Deliveries) == 0:
	case certain(g.Deliveries):
		g.State = Delivered
	default:
		g.addNote(noteGaps)
	}
}

func (g *Group) addNote(note string) {
	if g.Note != "" {
		g.Note += "; "
	}
	g.Note += note
}

// acknowledgment is the commit with which a group passed an offset that its
// offset is past now.
func (f *finder) acknowledgment(group string, q event.Queue, o event.Offset, stored event.Position) (*Acknowledgment, error) {
	a, exact, err := newCommitSearch(f.Log, group, q).passing(o, stored, everywhere)
	if err != nil && err != errTooMany {
		return nil, err
	}
	if !exact || err != nil {
		last, _ := f.Offsets.Get(group, q)
		a = Acknowledgment{Time: last.Timestamp, Client: last.Client, From: -1, To: last.Offset}
	}
	return &a, nil
}

func stateOf(a *Acknowledgment) GroupState {
	if a.Client == ClientOfResets || a.Client == ClientOfCopies {
		return Skipped
	}
	return Acknowledged
}

// isCopyOf reports whether c was made of m: an id of a broker or, where a
// client has sent it on by itself, that of a client.
func isCopyOf(c, m *found) bool {
	if m.copyFor != "" {
		return c.origin.ID == m.origin.ID
	}
	return c.origin.Topic == m.Topic && (c.origin.ID == m.ID || c.origin.ID == m.UniqueKey)
}

// tries finds what waits, or has waited, to be tried again, by group.
func (f *finder) tries(m *found) (map[string][]Try, error) {
	all := map[string][]Try{}
	if m.UniqueKey == "" {
		return all, nil
	}
	from := m.Position
	if m.copyFor != "" {
		from = 0
	}
	for _, name := range f.Names.Waiting {
		t, known := f.Topics.Get(name)
		if !known {
			continue
		}
		waited, err := f.waited(t.ID, m.UniqueKey, from)
		if err != nil {
			return nil, err
		}
		for i := range waited {
			w := &waited[i]
			if w.copyFor == "" || !isCopyOf(w, m) {
				continue
			}
			if err := f.addTry(all, w); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// addTry adds what waits or has waited, of the copies with one handle the
// newest, which is the first that comes.
func (f *finder) addTry(all map[string][]Try, w *found) error {
	list := all[w.copyFor]
	if i := slices.IndexFunc(list, func(other Try) bool { return other.handle == w.handle }); i >= 0 {
		if w.Position == w.handle {
			list[i].SentBackAt = w.StoredAt
		}
		return nil
	}
	try := Try{Number: w.reconsumed, State: TryGone, handle: w.handle}
	if w.Position == w.handle {
		try.SentBackAt = w.StoredAt
	}
	entry, waits, err := f.Waiting.Get(w.handle)
	if waits {
		try.State, try.Due = TryWaiting, entry.Due
	}
	all[w.copyFor] = append(list, try)
	return err
}

// stored finds the copies of a message in a group's retry topic and among its
// dead letters.
func (f *finder) stored(g *Group, m *found) error {
	retried, err := f.copies(f.Names.RetryPrefix+g.Group, m)
	if err != nil {
		return err
	}
	for i := range retried {
		if err := f.addStored(g, &retried[i]); err != nil {
			return err
		}
	}
	slices.SortFunc(g.Tries, func(a, b Try) int { return cmp.Or(cmp.Compare(a.Number, b.Number), cmp.Compare(a.handle, b.handle)) })
	dead, err := f.copies(f.Names.DeadPrefix+g.Group, m)
	if err == nil && len(dead) > 0 {
		g.Dead = dead[0].at()
	}
	return err
}

// copies are those of a message in a topic, newest first.
func (f *finder) copies(name string, m *found) ([]found, error) {
	t, known := f.Topics.Get(name)
	if !known {
		return nil, nil
	}
	list, err := f.messages(t, m.UniqueKey)
	list = slices.DeleteFunc(list, func(c found) bool { return !isCopyOf(&c, m) })
	for i := range list {
		if err == nil {
			err = f.place(&list[i])
		}
	}
	return list, err
}

// addStored adds a copy in the retry topic to the try that it belongs to.
func (f *finder) addStored(g *Group, c *found) error {
	i := slices.IndexFunc(g.Tries, func(t Try) bool { return t.handle != 0 && t.handle == c.cause })
	if i < 0 {
		g.Tries = append(g.Tries, Try{Number: c.reconsumed, handle: c.cause})
		i = len(g.Tries) - 1
	}
	try := &g.Tries[i]
	try.State, try.Place = TryQueued, c.at()
	var err error
	if try.Deliveries, err = f.deliveries(g.Group, c.queue, c.Offset, c.Position); err != nil {
		return err
	}
	if committed, some := f.Offsets.Get(g.Group, c.queue); !some || committed.Offset <= c.Offset {
		if certain(try.Deliveries) {
			try.State = TryDelivered
		}
		return nil
	}
	a, err := f.acknowledgment(g.Group, c.queue, c.Offset, c.Position)
	try.State, try.Acknowledged = TryAcknowledged, a
	return err
}

// at is where a copy stands.
func (m *found) at() *Place {
	return &Place{Topic: m.Topic, Queue: m.Queue, Offset: m.Offset, Position: m.Position, ID: m.ID, StoredAt: m.StoredAt}
}
