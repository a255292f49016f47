package baseline

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// row is one line of the table: a load that each server gets.
type row struct {
	name  string
	title string
	flush Flush
	kind  kind
	// of a send load
	inFlight, batch, size int
	topics, queues        int // 0 for one topic of the usual queues
	// alone rows are measured on Apogee only, on a server of their own that
	// they share with the other rows of that place.
	alone stage
	// replicated rows are measured on groups of replicas as well.
	replicated bool
}

// stage is a server for rows that leave much behind.
type stage string

const (
	backlogStage stage = "backlog" // has a backlog larger than all caches
	queuesStage  stage = "queues"  // gets many topics
	waitingStage stage = "waiting" // gets messages that wait
)

type kind uint8

const (
	sendRow           kind = iota
	pullRow                // warm: what is read was just written
	startRow               // start of an empty server, and its memory at rest
	restartRow             // start with the backlog after kill -9
	coldRow                // drain the backlog once
	pacedRow               // open-loop sends at a fixed rate
	pacedColdRow           // the same while consumers read the backlog
	transactionRow         // half messages, each committed
	levelRow               // messages that are delayed by a level, and delivered meanwhile
	timedRow               // messages that are due long after
	dueRow                 // many messages that become due at once, beside open-loop sends
	pendingRow             // very many messages that wait
	pendingRestartRow      // start with them after kill -9
)

const (
	queues        = 8
	pullConsumers = 8
	pullMessages  = 40_000 // some 50 MB of records: they fit into any cache
	pullTopic     = "baseline-pull"
	warmUpTopic   = "baseline-warmup"

	backlogTopic       = "baseline-backlog"
	backlogRecordBytes = 1024 + 256 // of a message in the log, about
	pacedRate          = 10_000     // messages a second: a fraction of what the machine can do

	dueMessages     = 100_000
	pendingInFlight = 256
	pendingBytes    = 100       // of a body
	timedAfter      = time.Hour // until the messages of a timed row are due
	pendingSpread   = 24 * time.Hour
)

// isStart tells rows that measure a start from those that measure a load.
func (r *row) isStart() bool {
	return r.kind == startRow || r.kind == restartRow || r.kind == pendingRestartRow
}

// rows are all rows, in the order of the table.
var rows = []row{
	{name: "sync1", title: "SYNC_FLUSH, 1 in flight", flush: SyncFlush, inFlight: 1, batch: 1, size: 1024, replicated: true},
	{name: "sync64", title: "SYNC_FLUSH, 64 in flight", flush: SyncFlush, inFlight: 64, batch: 1, size: 1024, replicated: true},
	{name: "sync256", title: "SYNC_FLUSH, 256 in flight", flush: SyncFlush, inFlight: 256, batch: 1, size: 1024, replicated: true},
	{name: "async1", title: "ASYNC_FLUSH, 1 in flight", flush: AsyncFlush, inFlight: 1, batch: 1, size: 1024},
	{name: "async64", title: "ASYNC_FLUSH, 64 in flight", flush: AsyncFlush, inFlight: 64, batch: 1, size: 1024},
	{name: "async256", title: "ASYNC_FLUSH, 256 in flight", flush: AsyncFlush, inFlight: 256, batch: 1, size: 1024},
	{name: "batchsync", title: "SYNC_FLUSH, batches of 32 × 256 B, 64 in flight", flush: SyncFlush, inFlight: 64, batch: 32, size: 256},
	{name: "batchasync", title: "ASYNC_FLUSH, batches of 32 × 256 B, 64 in flight", flush: AsyncFlush, inFlight: 64, batch: 32, size: 256},
	{name: "pull", title: "pull, 8 consumers, 32 per pull, warm", flush: AsyncFlush, kind: pullRow},
	{name: "transactions", title: "SYNC_FLUSH, 64 transactions in flight, committed", flush: SyncFlush, kind: transactionRow, inFlight: 64, batch: 1, size: 1024},
	{name: "delaylevel", title: "SYNC_FLUSH, 64 in flight, delayed by level 1 (1 s)", flush: SyncFlush, kind: levelRow, inFlight: 64, batch: 1, size: 1024},
	{name: "delaytime", title: "SYNC_FLUSH, 64 in flight, due an hour later", flush: SyncFlush, kind: timedRow, inFlight: 64, batch: 1, size: 1024},
	{name: "pullcold", title: "pull of a cold backlog, 8 queues side by side", flush: SyncFlush, kind: coldRow, alone: backlogStage},
	{name: "paced", title: "SYNC_FLUSH, 10,000 sends a second, from due time", flush: SyncFlush, kind: pacedRow, alone: backlogStage},
	{name: "pacedcold", title: "the same while 8 consumers read a cold backlog", flush: SyncFlush, kind: pacedColdRow, alone: backlogStage},
	queuesRow("queues8", "8 queues", 1, 8),
	queuesRow("queues10k", "10,000 queues as 1,250 topics × 8", 1250, 8),
	queuesRow("queues10kwide", "10,000 queues as 10 topics × 1,000", 10, 1000),
	queuesRow("queues100k", "100,000 queues as 12,500 topics × 8", 12_500, 8),
	queuesRow("queues100kwide", "100,000 queues as 100 topics × 1,000", 100, 1000),
	{name: "due", title: "SYNC_FLUSH, 10,000 sends a second while 100,000 messages become due", flush: SyncFlush, kind: dueRow, alone: waitingStage},
	{name: "pending", title: "SYNC_FLUSH, 256 in flight, bodies of 100 B, all to wait", flush: SyncFlush, kind: pendingRow, inFlight: pendingInFlight, batch: 1, size: pendingBytes, alone: waitingStage},
	{name: "pendingrestart", title: "start with them after kill -9", flush: SyncFlush, kind: pendingRestartRow, alone: waitingStage},
	{name: "restart", title: "start with the backlog after kill -9", flush: SyncFlush, kind: restartRow, alone: backlogStage},
	{name: "start", title: "start of an empty server; memory at rest", flush: SyncFlush, kind: startRow},
}

func queuesRow(name, title string, topics, queues int) row {
	return row{name: name, title: "SYNC_FLUSH, 64 in flight, " + title, flush: SyncFlush, inFlight: 64, batch: 1, size: 1024,
		topics: topics, queues: queues, alone: queuesStage}
}

// rowNames are the names of all rows.
func rowNames() []string {
	names := make([]string, len(rows))
	for i, r := range rows {
		names[i] = r.name
	}
	return names
}

// selectRows returns the named rows in the table's order.
func selectRows(names []string) ([]row, error) {
	for _, name := range names {
		if !slices.Contains(rowNames(), name) {
			return nil, fmt.Errorf("run baseline: row %q: allowed are %v", name, rowNames())
		}
	}
	var selected []row
	for _, r := range rows {
		if slices.Contains(names, r.name) {
			selected = append(selected, r)
		}
	}
	return selected, nil
}

// arguments are the command-line arguments of the row's load, without the
// binary, the address and the process id.
func (o *Options) arguments(r *row) []string {
	switch r.kind {
	case pullRow:
		return o.pullArguments(pullTopic, "again", o.Warmup, o.Duration)
	case coldRow:
		return o.pullArguments(backlogTopic, "once", 0, longestLoad)
	case pacedRow, pacedColdRow:
		return []string{"bench", "e2e", "--topic", "baseline-paced", "--rates", strconv.Itoa(pacedRate), "--queues", strconv.Itoa(queues),
			"--warmup", o.Warmup.String(), "--duration", o.Duration.String()}
	case dueRow:
		return o.common([]string{"bench", "due", "--topic", "baseline-due", "--messages", strconv.Itoa(dueMessages), "--rate", strconv.Itoa(pacedRate)},
			queues, o.Warmup, o.Duration)
	case transactionRow:
		return append(o.sendArguments(r, "baseline-"+r.name, o.Warmup, o.Duration), "--kind", "transactional")
	case levelRow:
		return append(o.sendArguments(r, "baseline-"+r.name, o.Warmup, o.Duration), "--kind", "delayed", "--delay-level", "1")
	case timedRow:
		return append(o.sendArguments(r, "baseline-"+r.name, o.Warmup, o.Duration), "--kind", "delayed", "--deliver-after", timedAfter.String())
	case pendingRow:
		return append(o.sendArguments(r, "baseline-"+r.name, 0, longestLoad), "--kind", "delayed", "--deliver-after", timedAfter.String(),
			"--deliver-spread", pendingSpread.String(), "--messages", strconv.FormatInt(o.Pending, 10))
	}
	return o.sendArguments(r, "baseline-"+r.name, o.Warmup, o.Duration)
}

// longestLoad bounds loads that end by themselves.
const longestLoad = time.Hour

func (o *Options) pullArguments(topic, reading string, warmup, duration time.Duration) []string {
	return o.common([]string{"bench", "pull", "--topic", topic, "--consumers", strconv.Itoa(pullConsumers), "--read", reading}, queues, warmup, duration)
}

func (o *Options) sendArguments(r *row, topic string, warmup, duration time.Duration) []string {
	arguments := []string{"bench", "send", "--topic", topic, "--inflight", strconv.Itoa(r.inFlight),
		"--batch", strconv.Itoa(r.batch), "--size", strconv.Itoa(r.size)}
	count := queues
	if r.queues > 0 {
		arguments, count = append(arguments, "--topics", strconv.Itoa(r.topics)), r.queues
	}
	return o.common(arguments, count, warmup, duration)
}

func (o *Options) common(arguments []string, queues int, warmup, duration time.Duration) []string {
	return append(arguments, "--queues", strconv.Itoa(queues), "--connections", strconv.Itoa(o.Connections),
		"--warmup", warmup.String(), "--duration", duration.String())
}

// preparation is the load that writes what a pull row reads, and the one that
// lets a broker compile and grow what it will need.
var preparation = row{inFlight: 64, batch: 1, size: 1024}

func (o *Options) fillArguments() []string {
	return append(o.sendArguments(&preparation, pullTopic, 0, time.Minute), "--messages", strconv.Itoa(pullMessages))
}

// backlogArguments write the backlog.
func (o *Options) backlogArguments() []string {
	fill := row{inFlight: 256, batch: 1, size: 1024}
	return append(o.sendArguments(&fill, backlogTopic, 0, longestLoad), "--messages", strconv.FormatInt(o.BacklogBytes/backlogRecordBytes, 10))
}

// readBacklogArguments read the backlog over and over beside another load.
func (o *Options) readBacklogArguments() []string {
	return o.pullArguments(backlogTopic, "again", 0, o.Warmup+o.Duration+readersAhead)
}

// readersAhead is how long the readers go on around the load beside them.
const readersAhead = 4 * time.Second

func (o *Options) warmUpArguments() []string {
	return o.sendArguments(&preparation, warmUpTopic, 0, o.Settle)
}
