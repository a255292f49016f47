package nameserver

import (
	"maps"
	"slices"

	"github.com/apogeemq/apogee/server/remoting"
)

// appendRoute writes a topic's TopicRouteData in a dialect, false when nobody
// has the topic. order, unless "", says how an ordered topic is spread.
func (t *table) appendRoute(dst []byte, topic, order string, d dialect) ([]byte, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	byBroker := t.topics[topic]
	names := slices.Sorted(maps.Keys(byBroker))
	dst = append(dst, '{')
	dst = append(d.appendMember(dst, "brokerDatas"), '[')
	found := false
	for _, name := range names {
		if b := t.brokers[name]; b != nil {
			dst = b.append(appendComma(dst), t.clientAddresses(b), d)
			found = true
		}
	}
	dst = append(dst, ']')
	dst = append(d.appendMember(dst, "filterServerTable"), "{}"...)
	if order != "" {
		dst = d.appendTextMember(dst, "orderTopicConf", order)
	}
	dst = append(d.appendMember(dst, "queueDatas"), '[')
	for _, name := range names {
		q := byBroker[name]
		dst = append(appendComma(dst), '{')
		dst = d.appendTextMember(dst, "brokerName", name)
		dst = d.appendIntMember(dst, "perm", int64(q.permission))
		dst = d.appendIntMember(dst, "readQueueNums", int64(q.readQueues))
		dst = d.appendIntMember(dst, "topicSysFlag", int64(q.systemFlag))
		dst = d.appendIntMember(dst, "writeQueueNums", int64(q.writeQueues))
		dst = append(dst, '}')
	}
	return append(dst, ']', '}'), found
}

// clientAddresses are those in routes. A name without a master, as a group that
// is changing leaders, would be left out by a producer until it asks again, 30 s
// later; so the first broker that passes requests on to the next master is
// given as the master meanwhile.
func (t *table) clientAddresses(b *brokerData) map[int64]string {
	if _, led := b.addresses[remoting.MasterID]; led {
		return b.addresses
	}
	for _, id := range slices.Sorted(maps.Keys(b.addresses)) {
		live := t.live[endpoint{b.cluster, b.addresses[id]}]
		if live == nil || !live.forwards {
			continue
		}
		all := maps.Clone(b.addresses)
		all[remoting.MasterID] = b.addresses[id]
		return all
	}
	return b.addresses
}

// append writes a BrokerData.
func (b *brokerData) append(dst []byte, addresses map[int64]string, d dialect) []byte {
	dst = append(dst, '{')
	dst = appendAddresses(d.appendMember(dst, "brokerAddrs"), addresses, d)
	dst = d.appendTextMember(dst, "brokerName", b.name)
	dst = d.appendTextMember(dst, "cluster", b.cluster)
	dst = d.appendBoolMember(dst, "enableActingMaster", b.actingMaster)
	if b.zone != "" {
		dst = d.appendTextMember(dst, "zoneName", b.zone)
	}
	return append(dst, '}')
}

func appendAddresses(dst []byte, addresses map[int64]string, d dialect) []byte {
	dst = append(dst, '{')
	for _, id := range slices.Sorted(maps.Keys(addresses)) {
		dst = d.appendText(d.appendNumericKey(dst, id), addresses[id])
	}
	return append(dst, '}')
}

// appendClusterInfo writes all brokers and clusters as ClusterInfo.
func (t *table) appendClusterInfo(dst []byte) []byte {
	const d = fastjson
	t.mu.RLock()
	defer t.mu.RUnlock()
	dst = append(dst, '{')
	dst = append(d.appendMember(dst, "brokerAddrTable"), '{')
	for _, name := range slices.Sorted(maps.Keys(t.brokers)) {
		b := t.brokers[name]
		dst = b.append(d.appendMember(dst, name), b.addresses, d)
	}
	dst = append(dst, '}')
	dst = append(d.appendMember(dst, "clusterAddrTable"), '{')
	for _, cluster := range slices.Sorted(maps.Keys(t.clusters)) {
		dst = appendTexts(d.appendMember(dst, cluster), slices.Sorted(maps.Keys(t.clusters[cluster])))
	}
	return append(dst, '}', '}')
}

// appendMemberGroup writes the addresses of one broker name, none when it is
// unknown.
func (t *table) appendMemberGroup(dst []byte, cluster, brokerName string) []byte {
	const d = fastjson
	t.mu.RLock()
	defer t.mu.RUnlock()
	var addresses map[int64]string
	if b := t.brokers[brokerName]; b != nil {
		addresses = b.addresses
	}
	dst = append(dst, '{')
	dst = append(d.appendMember(dst, "brokerMemberGroup"), '{')
	dst = appendAddresses(d.appendMember(dst, "brokerAddrs"), addresses, d)
	dst = d.appendTextMember(dst, "brokerName", brokerName)
	dst = d.appendTextMember(dst, "cluster", cluster)
	return append(dst, '}', '}')
}

// topicNames lists the topics that some broker name has with queues that match.
func (t *table) topicNames(match func(brokerName string, q queueData) bool) []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var names []string
	for topic, byBroker := range t.topics {
		for name, q := range byBroker {
			if match(name, q) {
				names = append(names, topic)
				break
			}
		}
	}
	slices.Sort(names)
	return names
}

// inCluster tells which broker names belong to a cluster.
func (t *table) inCluster(cluster string) map[string]struct{} {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return maps.Clone(t.clusters[cluster])
}

// systemNames are the topics that every broker has: those called after
// clusters and brokers. With them comes the address of one broker.
func (t *table) systemNames() (names []string, address string) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for cluster, brokers := range t.clusters {
		names = append(names, cluster)
		names = slices.AppendSeq(names, maps.Keys(brokers))
	}
	slices.Sort(names)
	for _, name := range slices.Sorted(maps.Keys(t.brokers)) {
		if b := t.brokers[name]; len(b.addresses) > 0 {
			return slices.Compact(names), b.addresses[b.lowestID()]
		}
	}
	return slices.Compact(names), ""
}

// appendTopicList writes a TopicList.
func appendTopicList(dst []byte, topics []string, brokerAddress string) []byte {
	dst = append(dst, '{')
	if brokerAddress != "" {
		dst = fastjson.appendTextMember(dst, "brokerAddr", brokerAddress)
	}
	dst = appendTexts(fastjson.appendMember(dst, "topicList"), topics)
	return append(dst, '}')
}

func appendTexts(dst []byte, texts []string) []byte {
	dst = append(dst, '[')
	for _, text := range texts {
		dst = fastjson.appendText(appendComma(dst), text)
	}
	return append(dst, ']')
}

// size counts broker processes, topics and pairs of topic and broker name.
func (t *table) size() (brokers, topics, routes int) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.live), len(t.topics), t.routes
}
