package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/server/remoting"
)

// versionName is the RocketMQ version that tools are shown, the one of
// remoting.Version.
const versionName = "V5_3_3"

// showConfig answers GET_BROKER_CONFIG.
func (b *Broker) showConfig(rt remoting.ReplyTo, _ *remoting.Command) {
	version, err := json.Marshal(b.versionOf(b.live.version.Load()))
	if err != nil {
		b.answerError(rt, err)
		return
	}
	reply := remoting.Reply{Body: []byte(b.live.properties(b.config.Properties))}
	reply.SetBytes("version", version)
	rt.Send(&reply)
}

// keyGathers says that batches with record.FieldGathered are understood.
const keyGathers = "apogeeGathers"

// showRuntimeInfo answers GET_BROKER_RUNTIME_INFO.
func (b *Broker) showRuntimeInfo(rt remoting.ReplyTo, _ *remoting.Command) {
	b.read(rt, func() {
		table := make(map[string]string)
		b.addLogInfo(table)
		b.addTrafficInfo(table)
		b.addQueueInfo(table)
		b.answerJSON(rt, struct {
			Table map[string]string `json:"table"`
		}{table})
	})
}

// addLogInfo tells of the process and its log. It reads the log.
func (b *Broker) addLogInfo(table map[string]string) {
	marks := b.progress.Marks()
	started := time.UnixMilli(b.startedMillis)
	table["bootTimestamp"] = strconv.FormatInt(b.startedMillis, 10)
	table["runtime"] = runtimeText(b.config.Clock().Sub(started))
	table["brokerActive"] = "true"
	table["brokerVersion"] = strconv.Itoa(remoting.Version)
	table["brokerVersionDesc"] = versionName
	table[keyGathers] = "true"
	table["startAcceptSendRequestTimeStamp"] = "0"
	table["commitLogMinOffset"] = strconv.FormatUint(uint64(marks.TrimmedPosition), 10)
	table["commitLogMaxOffset"] = strconv.FormatUint(uint64(marks.AppliedPosition), 10)
	table["dispatchBehindBytes"] = "0"
	table["dispatchMaxBuffer"] = "0"
	table["pageCacheLockTimeMills"] = "0"
	table["remainHowManyDataToFlush"] = "0 B"
	table["earliestMessageTimeStamp"] = strconv.FormatInt(b.earliestMillis(), 10)
	if total, free, err := b.config.Space(); err != nil {
		b.config.Logger.Warn("space of the disk can't be read", "cause", err)
	} else if total > 0 {
		used := strconv.FormatFloat(float64(total-min(free, total))/float64(total), 'f', -1, 64)
		table["commitLogDiskRatio"], table["consumeQueueDiskRatio"] = used, used
		table["commitLogDirCapacity"] = fmt.Sprintf("Total : %s, Free : %s.", bytesText(total), bytesText(free))
	}
}

// earliestMillis is when the first event that the log still has was stored, -1
// for none. A log that was never trimmed begins with the system's
// topics and groups.
func (b *Broker) earliestMillis() int64 {
	earliest := int64(-1)
	first := b.progress.Marks().TrimmedPosition
	if first == 0 {
		var changes []int64
		for _, g := range b.groups.All() {
			changes = append(changes, g.ChangedAt)
		}
		for _, t := range b.topics.All() {
			changes = append(changes, t.ChangedAt)
		}
		if len(changes) > 0 {
			earliest = slices.Min(changes)
		}
		return earliest
	}
	err := b.queues.ReadAt(first, func(m engine.Message) error {
		earliest = m.Timestamp
		return nil
	})
	if err != nil && !errors.Is(err, engine.ErrNotFound) {
		b.config.Logger.Error("the first event of the log can't be read", "cause", err)
	}
	return earliest
}

// addTrafficInfo tells how much was stored and pulled since the start.
func (b *Broker) addTrafficInfo(table map[string]string) {
	t, h := &b.metrics.totals, &b.metrics.history
	number := func(key string, n uint64) { table[key] = strconv.FormatUint(n, 10) }
	stored, bytes := t.stored.Load(), t.storedBytes.Load()
	number("putMessageTimesTotal", stored)
	number("putMessageFailedTimes", t.failed.Load())
	number("putMessageSizeTotal", bytes)
	table["putMessageAverageSize"] = strconv.FormatFloat(float64(bytes)/float64(max(stored, 1)), 'f', -1, 64)

	table["putTps"] = h.rates(func(s sample) uint64 { return s.stored })
	table["getFoundTps"] = h.rates(func(s sample) uint64 { return s.found })
	table["getMissTps"] = h.rates(func(s sample) uint64 { return s.missed })
	table["getTotalTps"] = h.rates(func(s sample) uint64 { return s.found + s.missed })
	table["getTransferredTps"] = h.rates(func(s sample) uint64 { return s.transferred })
	table["getTransferedTps"] = table["getTransferredTps"] // mqadmin and dashboards of 4.x spell it so and fail without

	yesterday, today := h.mornings()
	number("msgPutTotalYesterdayMorning", yesterday.stored)
	number("msgPutTotalTodayMorning", today.stored)
	number("msgPutTotalTodayNow", stored)
	number("msgGetTotalYesterdayMorning", yesterday.transferred)
	number("msgGetTotalTodayMorning", today.transferred)
	number("msgGetTotalTodayNow", t.transferred.Load())
}

// addQueueInfo tells what waits, under the names of RocketMQ's thread pools.
// What has no queue here shows as an empty one; so does the timer wheel.
func (b *Broker) addQueueInfo(table map[string]string) {
	l := &b.config.Limits
	for _, q := range []struct {
		name           string
		size, capacity int
	}{
		{"sendThreadPoolQueue", int(b.sender.inFlight.Load()), l.SendsInFlight},
		{"pullThreadPoolQueue", b.reads.waiting(), l.WaitingReads},
		{"litePullThreadPoolQueue", 0, l.WaitingReads},
		{"queryThreadPoolQueue", 0, l.WaitingReads},
		{"ackThreadPoolQueue", 0, l.WaitingReads},
	} {
		table[q.name+"Size"] = strconv.Itoa(q.size)
		table[q.name+"Capacity"] = strconv.Itoa(q.capacity)
		table[q.name+"HeadWaitTimeMills"] = "0"
	}
	for _, key := range []string{"timerReadBehind", "timerOffsetBehind", "timerCongestNum", "EndTransactionQueueSize", "remainTransientStoreBufferNumbs"} {
		table[key] = "0"
	}
	table["EndTransactionThreadPoolQueueCapacity"] = strconv.Itoa(l.SendsInFlight)
	table["timerEnqueueTps"], table["timerDequeueTps"] = "0.0", "0.0"
}

// runtimeText is a duration as RocketMQ's StoreStatsService writes it.
func runtimeText(d time.Duration) string {
	seconds := int64(max(d, 0) / time.Second)
	return fmt.Sprintf("[ %d days, %d hours, %d minutes, %d seconds ]", seconds/86400, seconds/3600%24, seconds/60%60, seconds%60)
}

// bytesText is a size as RocketMQ writes it for people.
func bytesText(n uint64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	value, prefix := float64(n)/unit, 0
	for value >= unit && prefix < len("KMGTPE")-1 {
		value /= unit
		prefix++
	}
	return fmt.Sprintf("%.1f %ciB", value, "KMGTPE"[prefix])
}
