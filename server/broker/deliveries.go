package broker

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/group"
)

const (
	// attributeTrackDelivery has the deliveries to a group recorded.
	attributeTrackDelivery = "trackDelivery"
	// deliveryInterval is how long deliveries are gathered: a queue is in one
	// event per interval.
	deliveryInterval = time.Second
	// runsPerQueue bounds the runs of offsets that one client gets of one queue
	// within an interval. Further ones are put together with the gaps between.
	runsPerQueue = 64
	// blocksPerRun bounds the hashes of a run.
	blocksPerRun = 64
)

// tracksDelivery reports whether the deliveries to a group are recorded.
func tracksDelivery(g group.Group) bool {
	for _, a := range g.Config.Attributes {
		if a.Key == attributePrefix+attributeTrackDelivery {
			return a.Value == "true"
		}
	}
	return false
}

// run is offsets that were sent one after the other.
type run struct {
	first, next event.Offset
	messages    uint64 // fewer than the offsets where there are gaps
}

// appendRun adds an offset to the runs of one answer.
func appendRun(runs []run, o event.Offset) []run {
	if n := len(runs); n > 0 && runs[n-1].next == o {
		runs[n-1].next++
		runs[n-1].messages++
		return runs
	}
	return append(runs, run{o, o + 1, 1})
}

// deliveryKey names whom messages of a queue were sent to.
type deliveryKey struct {
	group, client string
	queue         event.Queue
}

// sentRun is a run and when it was sent.
type sentRun struct {
	run
	since, until int64 // Unix milliseconds
}

// join extends the run by a later one and reports whether that is possible.
// Gaps are taken in only if nothing else is left to do.
func (s *sentRun) join(r run, now int64, gaps gapRule) bool {
	apart := r.first != s.next || uint64(s.next-s.first) != s.messages
	if apart && gaps == keepApart || r.first < s.next || (r.next-1)/event.DeliveryBlock-s.first/event.DeliveryBlock >= blocksPerRun {
		return false
	}
	s.next, s.until = r.next, now
	s.messages += r.messages
	return true
}

// gapRule says what becomes of offsets between two runs that were not sent.
type gapRule uint8

const (
	keepApart gapRule = iota // the runs stay two
	closeGaps                // they become one with gaps
)

// deliveries gathers which messages were sent to clients of groups that want
// that recorded: ranges of offsets, proposed together once per interval, nothing
// while nothing is sent. A crash loses what was sent within the last interval.
type deliveries struct {
	proposer Proposer
	progress Progress
	config   *Config
	metrics  *brokerMetrics
	dirty    chan struct{} // one element: open is no longer empty

	mu    sync.Mutex
	open  map[deliveryKey][]sentRun
	count int // runs in open
}

func newDeliveries(c *Config, d Dependencies, m *brokerMetrics) *deliveries {
	return &deliveries{proposer: d.Proposer, progress: d.Progress, config: c, metrics: m,
		dirty: make(chan struct{}, 1), open: make(map[deliveryKey][]sentRun)}
}

// note takes in what was sent. What there is no room for is not recorded.
func (d *deliveries) note(k deliveryKey, runs []run) {
	now := d.config.Clock().UnixMilli()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range runs {
		d.noteLocked(k, r, now)
	}
	select {
	case d.dirty <- struct{}{}:
	default:
	}
}

func (d *deliveries) noteLocked(k deliveryKey, r run, now int64) {
	list := d.open[k]
	if n := len(list); n > 0 {
		last := &list[n-1]
		if last.join(r, now, keepApart) || n >= runsPerQueue && last.join(r, now, closeGaps) {
			return
		}
	}
	if len(list) >= runsPerQueue || d.count >= d.config.Limits.DeliveredRuns {
		d.metrics.deliveriesLost.Add(int(r.messages))
		return
	}
	d.open[k] = append(list, sentRun{r, now, now})
	d.count++
}

// run proposes what has been gathered, one interval after the first.
func (d *deliveries) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-d.dirty:
		case <-ctx.Done():
			return
		}
		timer.Reset(deliveryInterval)
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		d.flush(ctx)
	}
}

// flush proposes everything gathered and returns when it is applied.
func (d *deliveries) flush(ctx context.Context) {
	list := d.take()
	if len(list) == 0 {
		return
	}
	if err := proposeAndApply(ctx, d.proposer, d.progress, deliveryDrafts(list)); err != nil {
		for i := range list {
			d.metrics.deliveriesLost.Add(int(list[i].Messages))
		}
		d.config.Logger.Warn("deliveries could not be recorded", "cause", err)
		return
	}
	for i := range list {
		d.metrics.deliveriesKept.Add(int(list[i].Messages))
	}
}

// recordLast records what is left when the broker closes.
func (b *Broker) recordLast() {
	ctx, cancel := context.WithTimeout(b.running, b.config.Limits.ShutdownPatience)
	defer cancel()
	b.sentOut.flush(ctx)
}

// take empties the table; what is sent to one group of one queue stands together.
func (d *deliveries) take() []event.Delivery {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]event.Delivery, 0, d.count)
	for k, runs := range d.open {
		for _, r := range runs {
			list = append(list, event.Delivery{Group: k.group, Queue: k.queue, Client: k.client, First: r.first, Next: r.next,
				Messages: r.messages, Since: r.since, Span: uint64(max(r.until-r.since, 0))})
		}
	}
	clear(d.open)
	d.count = 0
	slices.SortFunc(list, func(a, b event.Delivery) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Queue.Number(), b.Queue.Number()), cmp.Compare(a.Client, b.Client),
			cmp.Compare(a.Since, b.Since), cmp.Compare(a.First, b.First))
	})
	return list
}

// deliveryDrafts are the events for deliveries, each with as many as its hashes
// have room for.
func deliveryDrafts(list []event.Delivery) []event.Draft {
	var drafts []event.Draft
	for len(list) > 0 {
		n, hashes := 0, 0
		for n < len(list) && hashes+list[n].Blocks() <= event.KeysMax {
			hashes += list[n].Blocks()
			n++
		}
		d := event.Draft{Kind: event.KindDelivered, Payload: event.Bytes(event.AppendDeliveries(nil, list[:n]))}
		for i := range list[:n] {
			d.Keys = event.AppendDeliveryHashes(d.Keys, &list[i])
		}
		slices.Sort(d.Keys)
		d.Keys = slices.Compact(d.Keys)
		drafts = append(drafts, d)
		list = list[n:]
	}
	return drafts
}
