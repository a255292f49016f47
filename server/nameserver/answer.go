package nameserver

import (
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/apogeemq/apogee/server/remoting"
)

// noRoute is RocketMQ's remark for a topic that nobody has; tools show it.
const noRoute = "No topic route info in name server for the topic: %s\n" +
	"See https://rocketmq.apache.org/docs/bestPractice/06FAQ for further details."

func (s *Server) route(_ *remoting.Conn, cmd *remoting.Command, r *remoting.Reply) {
	topic, d := cmd.Text("topic"), fastjson
	if cmd.Version >= version4_9_4 || cmd.Bool("acceptStandardJsonOnly") {
		d = standard
	}
	order := ""
	if s.switches().OrderInRoutes {
		order, _ = s.keyValues.get(orderTopics, topic)
	}
	body, found := s.table.appendRoute(nil, topic, order, d)
	if !found {
		refuse(r, remoting.ResponseTopicNotExist, fmt.Sprintf(noRoute, topic))
		return
	}
	r.Body = body
}

func (s *Server) clusterInfo(_ *remoting.Conn, _ *remoting.Command, r *remoting.Reply) {
	r.Body = s.table.appendClusterInfo(nil)
}

func (s *Server) memberGroup(_ *remoting.Conn, cmd *remoting.Command, r *remoting.Reply) {
	cluster, name := cmd.Text("clusterName"), cmd.Text("brokerName")
	r.Body = s.table.appendMemberGroup(nil, cluster, name)
	master, term := s.table.masterNow(cluster, name)
	if master.haAddress != "" {
		r.SetText(fieldHAAddress, master.haAddress)
	}
	r.SetInt(fieldTerm, term)
}

// identityOf reads who a broker says it is, and refuses what can't be a broker.
func identityOf(cmd *remoting.Command, r *remoting.Reply) (identity, bool) {
	id := identity{
		endpoint:   endpoint{cluster: cmd.Text("clusterName"), address: cmd.Text("brokerAddr")},
		brokerName: cmd.Text("brokerName"),
	}
	brokerID, ok := cmd.Int("brokerId")
	id.brokerID = brokerID
	if !ok || brokerID < 0 {
		refuse(r, remoting.ResponseSystemError, "brokerId must be a number from 0 on")
		return id, false
	}
	for _, field := range []struct{ key, value string }{
		{"clusterName", id.cluster}, {"brokerAddr", id.address}, {"brokerName", id.brokerName},
	} {
		if field.value == "" || len(field.value) > maxNameBytes {
			refuse(r, remoting.ResponseSystemError, field.key+" must have 1 to 255 bytes")
			return id, false
		}
	}
	return id, true
}

func (s *Server) register(c *remoting.Conn, cmd *remoting.Command, r *remoting.Reply) {
	id, ok := identityOf(cmd, r)
	if !ok {
		return
	}
	if sum, _ := cmd.Int("bodyCrc32"); sum != 0 && sum != int64(crc32.ChecksumIEEE(cmd.Body)&0x7fffffff) {
		refuse(r, remoting.ResponseSystemError, "crc32 not match")
		return
	}
	body, err := decodeRegistration(cmd.Body, cmd.Bool("compressed"), cmd.Version)
	if err != nil {
		refuse(r, remoting.ResponseSystemError, "Failed to decode RegisterBrokerBody: "+err.Error())
		return
	}
	_, knowsActing := cmd.Get("enableActingMaster")
	a := announcement{
		identity: id, registration: body,
		haAddress: clip(cmd.Text("haServerAddr")), zone: clip(cmd.Text("__ZONE_NAME")),
		timeoutMillis: s.timeoutMillis(cmd), actingMaster: cmd.Bool("enableActingMaster"), knowsActing: knowsActing,
		forwards: cmd.Bool(fieldForwards), connection: c, receivedMillis: s.config.Clock(),
	}
	_, known := s.table.heard(id.endpoint, a.receivedMillis)
	master, err := s.table.register(a)
	if err != nil {
		s.meters.refused()
		s.config.Log.Warn("nameserver: registration refused", "broker", id.brokerName, "id", id.brokerID,
			"address", id.address, "topics", len(body.topics), "cause", err)
		refuse(r, remoting.ResponseSystemError, err.Error())
		return
	}
	if !known {
		s.config.Log.Info("nameserver: broker registered", "broker", id.brokerName, "id", id.brokerID,
			"cluster", id.cluster, "address", id.address, "topics", len(body.topics))
	}
	if master.address != "" {
		r.SetText("haServerAddr", master.haAddress)
		r.SetText("masterAddr", master.address)
	}
	if s.switches().OrderToBrokers {
		r.Body, _ = s.keyValueTable(orderTopics)
	}
}

// timeoutMillis is how long a broker that registers may be silent.
func (s *Server) timeoutMillis(cmd *remoting.Command) int64 {
	asked, ok := cmd.Int("heartbeatTimeoutMillis")
	if !ok || asked <= 0 {
		return s.config.BrokerTimeout.Milliseconds()
	}
	return min(asked, maxBrokerTimeout.Milliseconds())
}

// clip bounds a text that is kept but not used to find anything.
func clip(text string) string {
	if len(text) > maxNameBytes {
		return strings.Clone(text[:maxNameBytes])
	}
	return text
}

func (s *Server) unregister(_ *remoting.Conn, cmd *remoting.Command, r *remoting.Reply) {
	id, ok := identityOf(cmd, r)
	if !ok {
		return
	}
	if s.table.unregister(id) {
		s.meters.removed(removedUnregistered, 1)
	}
	s.config.Log.Info("nameserver: broker unregistered", "broker", id.brokerName, "id", id.brokerID,
		"cluster", id.cluster, "address", id.address)
}

func endpointOf(cmd *remoting.Command) endpoint {
	return endpoint{cluster: cmd.Text("clusterName"), address: cmd.Text("brokerAddr")}
}

func (s *Server) heartbeat(_ *remoting.Conn, cmd *remoting.Command, _ *remoting.Reply) {
	s.table.heard(endpointOf(cmd), s.config.Clock())
}

// queryVersion tells a broker whether it must register again.
func (s *Server) queryVersion(_ *remoting.Conn, cmd *remoting.Command, r *remoting.Reply) {
	theirs, err := decodeDataVersion(cmd.Body)
	if err != nil {
		refuse(r, remoting.ResponseSystemError, "decode DataVersion: "+err.Error())
		return
	}
	ours, known := s.table.heard(endpointOf(cmd), s.config.Clock())
	changed := "true"
	if known {
		r.Body = appendDataVersion(nil, ours)
		if ours == theirs {
			changed = "false"
		}
	}
	r.SetText("changed", changed)
}

// unlisted is RocketMQ's remark when an operator has switched a list off.
const unlisted = "disable"

func (s *Server) allTopics(_ *remoting.Conn, _ *remoting.Command, r *remoting.Reply) {
	if !s.switches().AllTopicsListed {
		refuse(r, remoting.ResponseSystemError, unlisted)
		return
	}
	r.Body = appendTopicList(nil, s.table.topicNames(func(string, queueData) bool { return true }), "")
}

func (s *Server) topicsOfCluster(_ *remoting.Conn, cmd *remoting.Command, r *remoting.Reply) {
	if !s.switches().TopicsListed {
		refuse(r, remoting.ResponseSystemError, unlisted)
		return
	}
	members := s.table.inCluster(cmd.Text("cluster"))
	r.Body = appendTopicList(nil, s.table.topicNames(func(broker string, _ queueData) bool {
		_, ok := members[broker]
		return ok
	}), "")
}

func (s *Server) systemTopics(_ *remoting.Conn, _ *remoting.Command, r *remoting.Reply) {
	names, address := s.table.systemNames()
	r.Body = appendTopicList(nil, names, address)
}

// unitTopics lists topics by the two bits of TopicSysFlag: 1 for a topic of a
// unit, 2 for one whose consumers are in units.
func (s *Server) unitTopics(_ *remoting.Conn, cmd *remoting.Command, r *remoting.Reply) {
	if !s.switches().TopicsListed {
		refuse(r, remoting.ResponseSystemError, unlisted)
		return
	}
	const unit, unitConsumers = 1, 2
	mask, want := int32(unit), int32(unit)
	switch cmd.Code {
	case remoting.RequestGetHasUnitSubTopicList:
		mask, want = unitConsumers, unitConsumers
	case remoting.RequestGetHasUnitSubUnunitTopics:
		mask, want = unit|unitConsumers, unitConsumers
	}
	r.Body = appendTopicList(nil, s.table.topicNames(func(_ string, q queueData) bool {
		return q.systemFlag&mask == want
	}), "")
}

func (s *Server) deleteTopic(_ *remoting.Conn, cmd *remoting.Command, _ *remoting.Reply) {
	topic, cluster := cmd.Text("topic"), cmd.Text("clusterName")
	s.table.deleteTopic(topic, cluster)
	s.config.Log.Info("nameserver: topic deleted", "topic", clip(topic), "cluster", clip(cluster))
}

func (s *Server) wipeWritePermission(_ *remoting.Conn, cmd *remoting.Command, r *remoting.Reply) {
	name := cmd.Text("brokerName")
	count := s.table.changePermission(name, func(p int32) int32 { return p &^ permissionWrite })
	s.config.Log.Info("nameserver: write permission taken", "broker", clip(name), "topics", count)
	r.SetInt("wipeTopicCount", int64(count))
}

func (s *Server) addWritePermission(_ *remoting.Conn, cmd *remoting.Command, r *remoting.Reply) {
	name := cmd.Text("brokerName")
	count := s.table.changePermission(name, func(int32) int32 { return permissionRead | permissionWrite })
	s.config.Log.Info("nameserver: write permission given", "broker", clip(name), "topics", count)
	r.SetInt("addTopicCount", int64(count))
}
