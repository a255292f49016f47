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
}

type kind uint8

const (
	sendRow  kind = iota
	pullRow       // warm: what is read was just written
	startRow      // start of an empty server, and its memory at rest
)

const (
	queues        = 8
	pullConsumers = 8
	pullMessages  = 40_000 // some 50 MB of records: they fit into any cache
	pullTopic     = "baseline-pull"
	warmUpTopic   = "baseline-warmup"
)

// rows are all rows, in the order of the table.
var rows = []row{
	{name: "sync1", title: "SYNC_FLUSH, 1 in flight", flush: SyncFlush, inFlight: 1, batch: 1, size: 1024},
	{name: "sync64", title: "SYNC_FLUSH, 64 in flight", flush: SyncFlush, inFlight: 64, batch: 1, size: 1024},
	{name: "sync256", title: "SYNC_FLUSH, 256 in flight", flush: SyncFlush, inFlight: 256, batch: 1, size: 1024},
	{name: "async1", title: "ASYNC_FLUSH, 1 in flight", flush: AsyncFlush, inFlight: 1, batch: 1, size: 1024},
	{name: "async64", title: "ASYNC_FLUSH, 64 in flight", flush: AsyncFlush, inFlight: 64, batch: 1, size: 1024},
	{name: "async256", title: "ASYNC_FLUSH, 256 in flight", flush: AsyncFlush, inFlight: 256, batch: 1, size: 1024},
	{name: "batchsync", title: "SYNC_FLUSH, batches of 32 × 256 B, 64 in flight", flush: SyncFlush, inFlight: 64, batch: 32, size: 256},
	{name: "batchasync", title: "ASYNC_FLUSH, batches of 32 × 256 B, 64 in flight", flush: AsyncFlush, inFlight: 64, batch: 32, size: 256},
	{name: "pull", title: "pull, 8 consumers, 32 per pull, warm", flush: AsyncFlush, kind: pullRow},
	{name: "start", title: "start of an empty server; memory at rest", flush: SyncFlush, kind: startRow},
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
	if r.kind == pullRow {
		return o.common([]string{"bench", "pull", "--topic", pullTopic, "--consumers", strconv.Itoa(pullConsumers), "--read", "again"}, o.Warmup, o.Duration)
	}
	return o.sendArguments(r, "baseline-"+r.name, o.Warmup, o.Duration)
}

func (o *Options) sendArguments(r *row, topic string, warmup, duration time.Duration) []string {
	return o.common([]string{"bench", "send", "--topic", topic, "--inflight", strconv.Itoa(r.inFlight),
		"--batch", strconv.Itoa(r.batch), "--size", strconv.Itoa(r.size)}, warmup, duration)
}

func (o *Options) common(arguments []string, warmup, duration time.Duration) []string {
	return append(arguments, "--queues", strconv.Itoa(queues), "--connections", strconv.Itoa(o.Connections),
		"--warmup", warmup.String(), "--duration", duration.String())
}

// preparation is the load that writes what a pull row reads, and the one that
// lets a broker compile and grow what it will need.
var preparation = row{inFlight: 64, batch: 1, size: 1024}

func (o *Options) fillArguments() []string {
	return append(o.sendArguments(&preparation, pullTopic, 0, time.Minute), "--messages", strconv.Itoa(pullMessages))
}

func (o *Options) warmUpArguments() []string {
	return o.sendArguments(&preparation, warmUpTopic, 0, o.Settle)
}
