package node

import (
	"github.com/apogeemq/apogee/server/broker"
	"github.com/apogeemq/apogee/server/nameserver"
)

// topicTable is what a broker knows of its topics.
type topicTable interface {
	TopicTable() ([]broker.TopicSettings, uint64)
}

// registeredTopics shows a broker's topics to a nameserver.Registrar.
type registeredTopics struct {
	table topicTable
	// startedMillis tells the tables of this process from those of an earlier
	// one, whose versions are counted from the same number on.
	startedMillis int64
}

// RegisteredTopics implements nameserver.TopicSource.
func (r registeredTopics) RegisteredTopics() (nameserver.DataVersion, []nameserver.TopicConfig) {
	table, version := r.table.TopicTable()
	topics := make([]nameserver.TopicConfig, len(table))
	for i, t := range table {
		topics[i] = nameserver.TopicConfig{
			Name: t.Name, ReadQueues: int32(t.ReadQueues), WriteQueues: int32(t.WriteQueues),
			Permission: int32(t.Permission), FilterType: t.FilterType, SystemFlag: t.SystemFlag,
			Order: t.Ordered, Attributes: t.Attributes,
		}
	}
	return nameserver.DataVersion{Timestamp: r.startedMillis, Counter: int64(version)}, topics
}
