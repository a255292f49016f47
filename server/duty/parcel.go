package duty

import (
	"slices"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/pending"
	"github.com/apogeemq/apogee/server/broker/delay"
	"github.com/apogeemq/apogee/server/broker/settlement"
)

const (
	// parcelMessages and parcelBytes bound a parcel. One proposal for many
	// messages saves locks and wake-ups; a longer one would keep others from the
	// proposer for longer.
	parcelMessages = 32
	parcelBytes    = 32 << 10
	// keepDeliveryBytes bounds the memory that a pooled message keeps.
	keepDeliveryBytes = 16 << 10
)

// portion is how many of the entries make a parcel, one at least.
func portion(due []pending.Entry) int {
	n, bytes := 0, 0
	for n < min(len(due), parcelMessages) && (n == 0 || bytes+int(due[n].Bytes) <= parcelBytes) {
		bytes += int(due[n].Bytes)
		n++
	}
	return n
}

// parcel is delayed messages on their way into their topics, with one proposal.
type parcel struct {
	duty     *Delivery
	entries  []pending.Entry
	places   []engine.EntryPlace
	messages [parcelMessages]delay.Message
	drafts   []event.Draft // by entry
	stored   []event.Position
	dropped  int
	bytes    int
	proposal engine.Proposal
}

// load reads the messages and makes the proposal. The handles of those that
// can't be read are free again.
func (p *parcel) load(entries []pending.Entry) error {
	p.entries, p.places, p.drafts, p.dropped = append(p.entries[:0], entries...), p.places[:0], p.drafts[:0], 0
	for i := range p.entries {
		p.places = append(p.places, engine.EntryPlace{Position: p.entries[i].Location, Bytes: int(p.entries[i].Bytes)})
	}
	now, good := p.duty.config.Clock(), 0
	err := p.duty.config.Events.ReadEntries(p.places, func(i int, m engine.Message, err error) {
		entry := p.entries[i]
		if err == nil {
			err = p.add(entry, m, now.UnixMilli())
		}
		if err != nil {
			p.duty.config.Settlement.Withdraw(entry.Handle)
			p.duty.metrics.unreadable.Inc()
			p.duty.trouble.unreadable(entry, now, err)
			return
		}
		p.entries[good] = entry
		good++
	})
	if err != nil {
		return err
	}
	p.entries = p.entries[:good]
	p.proposal = engine.Proposal{Drafts: p.drafts, Completion: p}
	p.bytes = p.proposal.EncodedBytes()
	return nil
}

// add makes the draft that ends an entry's wait.
func (p *parcel) add(entry pending.Entry, m engine.Message, now int64) error {
	payload, err := settlement.Record(m.Event)
	if err != nil {
		return err
	}
	message := &p.messages[len(p.drafts)]
	found, err := message.Load(delay.Waited{Handle: entry.Handle, Record: payload, Stored: m.Timestamp}, p.duty.config.Topics, now)
	if err != nil {
		return err
	}
	draft := message.Draft
	if !found {
		p.duty.trouble.topicless(entry)
		p.dropped++
		draft = event.Draft{Kind: event.KindDropped, Cause: entry.Handle, Keys: []uint64{event.CauseHash(entry.Handle)},
			Payload: event.Bytes(event.AppendDrop(nil, event.Drop{Reason: event.DropNoTopic}))}
	}
	p.drafts = append(p.drafts, draft)
	return nil
}

// Complete runs on the log's completion goroutine.
func (p *parcel) Complete(proposal *engine.Proposal) {
	d := p.duty
	if proposal.Outcome == engine.OutcomeUnknown {
		d.mu.Lock()
		d.failed = true
		d.mu.Unlock()
		d.finished(p)
		return
	}
	p.stored = p.stored[:0]
	at := proposal.Position
	for i := range p.drafts {
		p.stored = append(p.stored, at)
		at += event.Position(p.drafts[i].EncodedBytes())
		if p.drafts[i].Kind != event.KindDropped {
			d.metrics.delivered(proposal.Timestamp - p.entries[i].Due)
		}
	}
	d.config.Settlement.ConcludedAll(p.entries, p.stored)
	d.mu.Lock()
	d.last = max(d.last, p.stored[len(p.stored)-1])
	d.mu.Unlock()
	d.metrics.dropped.Add(p.dropped)
	d.finished(p)
}

// shrink lets go of the memory of large messages.
func (p *parcel) shrink() {
	for i := range p.messages {
		if p.messages[i].KeptBytes() > keepDeliveryBytes {
			p.messages[i] = delay.Message{}
		}
	}
	p.drafts = slices.Delete(p.drafts, 0, len(p.drafts)) // they point at payloads
}
