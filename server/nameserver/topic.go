package nameserver

import (
	"maps"
	"slices"
)

// append writes a TopicConfig of RocketMQ.
func (t TopicConfig) append(dst []byte) []byte {
	const d = fastjson
	filterType := t.FilterType
	if filterType == "" {
		filterType = "SINGLE_TAG"
	}
	dst = append(dst, '{')
	dst = append(d.appendMember(dst, "attributes"), '{')
	for _, key := range slices.Sorted(maps.Keys(t.Attributes)) {
		dst = d.appendTextMember(dst, key, t.Attributes[key])
	}
	dst = append(dst, '}')
	dst = d.appendBoolMember(dst, "order", t.Order)
	dst = d.appendIntMember(dst, "perm", int64(t.Permission))
	dst = d.appendIntMember(dst, "readQueueNums", int64(t.ReadQueues))
	dst = d.appendTextMember(dst, "topicFilterType", filterType)
	dst = d.appendTextMember(dst, "topicName", t.Name)
	dst = d.appendIntMember(dst, "topicSysFlag", int64(t.SystemFlag))
	dst = d.appendIntMember(dst, "writeQueueNums", int64(t.WriteQueues))
	return append(dst, '}')
}
