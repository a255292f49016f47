package broker

import (
	"strings"

	"github.com/apogeemq/apogee/server/remoting"
)

// statsItemBody is RocketMQ's BrokerStatsItem.
type statsItemBody struct {
	PerTime javaDouble `json:"avgpt"`
	Sum     uint64     `json:"sum"`
	Rate    javaDouble `json:"tps"`
}

// statsOf finds what a name of RocketMQ's Stats stands for: the totals, and
// whether bytes are meant. The totals are a copy.
func (m *brokerMetrics) statsOf(name, key string) (past []pastCounts, bytes, found bool) {
	m.flows.mu.Lock()
	defer m.flows.mu.Unlock()
	topic, group, _ := strings.Cut(key, "@")
	switch name {
	case "TOPIC_PUT_NUMS", "TOPIC_PUT_SIZE":
		for kind := range messageKinds {
			if f := m.flows.table[flowKey{topic: key, kind: messageKind(kind)}]; f != nil {
				past = append(past, f.past.clone())
			}
		}
	case "GROUP_GET_NUMS", "GROUP_GET_SIZE":
		if f := m.flows.table[flowKey{topic: topic, group: group}]; f != nil && group != "" {
			past = append(past, f.past.clone())
		}
	case "BROKER_PUT_NUMS":
		past = append(past, m.past.clone())
	case "BROKER_GET_NUMS":
		past = append(past, m.pastOut.clone())
	}
	return past, strings.HasSuffix(name, "_SIZE"), len(past) > 0
}

// showStats answers VIEW_BROKER_STATS_DATA. Stats by topic have the topic as
// key, those of groups topic@group.
func (b *Broker) showStats(rt remoting.ReplyTo, cmd *remoting.Command) {
	name, key := cmd.Text("statsName"), cmd.Text("statsKey")
	past, bytes, found := b.metrics.statsOf(name, key)
	if !found {
		b.answerError(rt, refuse(remoting.ResponseSystemError, "The stats <%.*s> <%.*s> not exist", groupBytesMax, name, retryTopicBytesMax, key))
		return
	}
	item := func(part func(*pastCounts) *window) (i statsItemBody) {
		messages, millis := uint64(0), int64(0)
		for at := range past {
			change, passed := part(&past[at]).change()
			messages += change.messages
			millis = max(millis, passed)
			if bytes {
				i.Sum += change.bytes
			} else {
				i.Sum += change.messages
			}
		}
		if millis > 0 {
			i.Rate = javaDouble(float64(i.Sum) * 1000 / float64(millis))
		}
		if messages > 0 {
			i.PerTime = javaDouble(float64(i.Sum) / float64(messages))
		}
		return i
	}
	b.answerJSON(rt, struct {
		Day    statsItemBody `json:"statsDay"`
		Hour   statsItemBody `json:"statsHour"`
		Minute statsItemBody `json:"statsMinute"`
	}{
		item(func(p *pastCounts) *window { return &p.day }),
		item(func(p *pastCounts) *window { return &p.hour }),
		item(func(p *pastCounts) *window { return &p.minute }),
	})
}
