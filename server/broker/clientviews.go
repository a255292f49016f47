package broker

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/apogeemq/apogee/server/remoting"
)

// connectionBody is RocketMQ's Connection.
type connectionBody struct {
	Address  string `json:"clientAddr"`
	Client   string `json:"clientId"`
	Language string `json:"language"`
	Version  int32  `json:"version"`
}

// consumersBody is RocketMQ's ConsumerConnection.
type consumersBody struct {
	Connections   []connectionBody            `json:"connectionSet"`
	FromWhere     string                      `json:"consumeFromWhere"`
	Kind          string                      `json:"consumeType"`
	Model         string                      `json:"messageModel"`
	Subscriptions map[string]subscriptionData `json:"subscriptionTable"`
}

// producerBody is RocketMQ's ProducerInfo.
type producerBody struct {
	Client   string `json:"clientId"`
	Language string `json:"language"`
	SeenAt   int64  `json:"lastUpdateTimestamp"`
	Address  string `json:"remoteIP"`
	Version  int32  `json:"version"`
}

func (s *session) connection(c *remoting.Conn) connectionBody {
	return connectionBody{Address: c.RemoteAddr().String(), Client: s.client, Language: remoting.LanguageName(s.language), Version: s.version}
}

func sortConnections(list []connectionBody) {
	slices.SortFunc(list, func(a, b connectionBody) int {
		return strings.Compare(a.Client+" "+a.Address, b.Client+" "+b.Address)
	})
}

// consumers shows the online members of a group.
func (c *clients) consumers(name string) (consumersBody, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.groups[name]
	if g == nil {
		return consumersBody{}, false
	}
	b := consumersBody{FromWhere: g.fromWhere, Kind: g.kind, Model: g.model, Subscriptions: make(map[string]subscriptionData)}
	for _, m := range once(g.members) {
		b.Connections = append(b.Connections, c.sessions[m.conn].connection(m.conn))
	}
	for topic, s := range g.subscriptions {
		b.Subscriptions[topic] = s.told
	}
	sortConnections(b.Connections)
	return b, true
}

// producers shows the online members of a producer group; none if it is unknown.
func (c *clients) producers(name string) []connectionBody {
	c.mu.Lock()
	defer c.mu.Unlock()
	members := make(map[*remoting.Conn]string)
	for conn, s := range c.sessions {
		if _, member := s.producers[name]; member {
			members[conn] = s.client
		}
	}
	var list []connectionBody
	for _, m := range once(members) {
		list = append(list, c.sessions[m.conn].connection(m.conn))
	}
	sortConnections(list)
	return list
}

// allProducers shows the online members of all producer groups.
func (c *clients) allProducers() map[string][]producerBody {
	c.mu.Lock()
	defer c.mu.Unlock()
	groups := make(map[string][]producerBody)
	for conn, s := range c.sessions {
		for name := range s.producers {
			groups[name] = append(groups[name], producerBody{
				Client: s.client, Language: remoting.LanguageName(s.language), SeenAt: s.seen.UnixMilli(),
				Address: "/" + conn.RemoteAddr().String(), Version: s.version, // the slash is Java's
			})
		}
	}
	for _, list := range groups {
		slices.SortFunc(list, func(a, b producerBody) int { return strings.Compare(a.Client+a.Address, b.Client+b.Address) })
	}
	return groups
}

// consumersOf are the online groups that subscribe to a topic, in order.
func (c *clients) consumersOf(topic string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var names []string
	for name, g := range c.groups {
		if g.subscriptions[topic] != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// subscribed are the topics that an online group subscribes to, in order; none
// when it is not online.
func (c *clients) subscribed(group string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.groups[group]
	if g == nil {
		return nil
	}
	return slices.Sorted(maps.Keys(g.subscriptions))
}

// member is one online client of a group.
type member struct {
	client string
	conn   *remoting.Conn
}

// once leaves one connection of a client that has several because it has
// registered with other nodes of the group, too, which forward what it says:
// its own one, or, where this broker has only those of the others, one of them.
func once(members map[*remoting.Conn]string) []member {
	var list []member
	forwarded := make(map[string]*remoting.Conn)
	for conn, client := range members {
		if !conn.ActsFor() {
			list = append(list, member{client, conn})
		} else if other := forwarded[client]; other == nil || conn.RemoteAddr().Compare(other.RemoteAddr()) < 0 {
			forwarded[client] = conn
		}
	}
	for _, m := range list {
		delete(forwarded, m.client)
	}
	for client, conn := range forwarded {
		list = append(list, member{client, conn})
	}
	return list
}

// online are the members of a group with a client id, all for "", in the order
// of their ids.
func (c *clients) online(group, client string) []member {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.groups[group]
	if g == nil {
		return nil
	}
	list := slices.DeleteFunc(once(g.members), func(m member) bool { return client != "" && m.client != client })
	slices.SortFunc(list, func(a, b member) int { return strings.Compare(a.client, b.client) })
	return list
}

// groupNames are the consumer groups that are online.
func (c *clients) groupNames() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Sorted(maps.Keys(c.groups))
}

// clientKind is what connections are counted by.
type clientKind struct {
	group    string // of consumers
	mode     string // of consumers: pull, push or pop
	language uint8
	version  int32
}

// clientCount is how many connections of a kind there are.
type clientCount struct {
	clientKind
	count int
}

// consumeModes are RocketMQ's names of consumeType in metrics.
var consumeModes = map[string]string{consumesActively: "pull", "CONSUME_PASSIVELY": "push", "CONSUME_POP": "pop"}

// census counts the connections in producer groups and in consumer groups, by
// kind; at most limit kinds of each.
func (c *clients) census(limit int) (producers, consumers []clientCount) {
	c.mu.Lock()
	defer c.mu.Unlock()
	in, out := make(map[clientKind]int), make(map[clientKind]int)
	for _, s := range c.sessions {
		if n := len(s.producers); n > 0 {
			in[clientKind{language: s.language, version: s.version}] += n
		}
		for group := range s.consumers {
			mode := ""
			if g := c.groups[group]; g != nil {
				mode = consumeModes[g.kind]
			}
			out[clientKind{group, mode, s.language, s.version}]++
		}
	}
	return sortedCounts(in, limit), sortedCounts(out, limit)
}

func sortedCounts(table map[clientKind]int, limit int) []clientCount {
	list := make([]clientCount, 0, len(table))
	for kind, n := range table {
		list = append(list, clientCount{kind, n})
	}
	slices.SortFunc(list, func(a, b clientCount) int {
		return cmp.Or(strings.Compare(a.group, b.group), strings.Compare(a.mode, b.mode), cmp.Compare(a.language, b.language), cmp.Compare(a.version, b.version))
	})
	return list[:min(len(list), limit)]
}
