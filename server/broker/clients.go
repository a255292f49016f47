package broker

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/apogeemq/apogee/server/remoting"
)

// What consumers say about themselves.
const (
	modelBroadcasting = "BROADCASTING"
	consumesActively  = "CONSUME_ACTIVELY"
)

// subscription is what a group wants of a topic. It is never changed.
type subscription struct {
	version int64
	kind    string // expression type, "" for tags
	filter  filter
	told    subscriptionData // as the client told it
}

// consumerGroup is the online members of a group and what they told last.
type consumerGroup struct {
	kind          string // consumeType
	model         string
	fromWhere     string
	fingerprint   int32
	subscriptions map[string]*subscription  // by topic
	members       map[*remoting.Conn]string // client ids
}

// session is what one connection has registered.
type session struct {
	client    string
	language  uint8     // of the client's library
	version   int32     // of the client's library
	seen      time.Time // last heartbeat
	bytes     int       // the largest heartbeat: what is kept of it
	outdated  bool      // it has subscriptions that are newer than what it has told
	producers map[string]struct{}
	consumers map[string]struct{}
}

func (s *session) groups() int { return len(s.producers) + len(s.consumers) }

// clients are the clients that are online, as their heartbeats tell. They are
// known by connection. Nothing here survives a restart: heartbeats bring it
// back.
type clients struct {
	config *Config
	notify func(c *remoting.Conn, group string)
	// mayNotify tells whether a group's settings let its members be told.
	mayNotify func(group string) bool
	wake      chan struct{} // one element: changed is no longer empty

	mu       sync.Mutex
	bytes    int // of all sessions
	sessions map[*remoting.Conn]*session
	names    map[string]*remoting.Conn // of producers, by client id: the one that came last
	groups   map[string]*consumerGroup
	changed  map[string]struct{} // groups whose members are to be told
}

func newClients(c *Config, groups Groups, notify func(*remoting.Conn, string)) *clients {
	return &clients{
		config: c, notify: notify, mayNotify: func(name string) bool {
			g, found := groups.Get(name)
			return !found || groupAllows(g, attributeNotify)
		}, wake: make(chan struct{}, 1),
		sessions: make(map[*remoting.Conn]*session), names: make(map[string]*remoting.Conn), groups: make(map[string]*consumerGroup), changed: make(map[string]struct{}),
	}
}

// notifyGroupChange tells one member that its group has changed, so that it
// shares out the queues anew. A member that can't be reached finds out by
// itself.
func notifyGroupChange(c *remoting.Conn, group string) {
	_ = c.Oneway(&remoting.Request{
		Code:   remoting.RequestNotifyConsumerIDsChanged,
		Header: []remoting.TextField{{Key: "consumerGroup", Value: group}},
	})
}

// register takes in a heartbeat and reports whether the client has to send its
// subscriptions in full the next time.
func (c *clients) register(conn *remoting.Conn, h *heartbeatData) (wantsAll bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.sessions[conn]
	more := h.bytes
	if s != nil {
		more = max(h.bytes-s.bytes, 0)
	}
	if c.bytes+more > c.config.Limits.ClientBytes {
		return false, refuse(remoting.ResponseSystemBusy, "[OVERLOAD]system busy: the heartbeats of all clients have more than %d bytes", c.config.Limits.ClientBytes)
	}
	if s == nil {
		s = &session{producers: make(map[string]struct{}), consumers: make(map[string]struct{})}
		c.sessions[conn] = s
	}
	if s.client != h.ClientID && c.names[s.client] == conn {
		delete(c.names, s.client)
	}
	s.bytes += more
	c.bytes += more
	s.client, s.seen = h.ClientID, c.config.Clock()
	s.language, s.version = h.language, h.version
	for _, p := range h.Producers {
		s.producers[p.Group] = struct{}{}
		c.names[s.client] = conn
	}
	wantsAll = h.Fingerprint == 0 || s.outdated && h.WithoutSubscriptions
	s.outdated = s.outdated && h.WithoutSubscriptions
	for i := range h.Consumers {
		s.consumers[h.Consumers[i].Group] = struct{}{}
		if c.registerConsumerLocked(conn, h, &h.Consumers[i]) {
			wantsAll = true
		}
	}
	if s.groups() > c.config.Limits.GroupsPerClient {
		c.removeLocked(conn)
		return false, refuse(remoting.ResponseSystemBusy, "the client %s is in %d groups, at most %d are allowed",
			h.ClientID, s.groups(), c.config.Limits.GroupsPerClient)
	}
	return wantsAll, nil
}

// registerConsumerLocked reports whether members of the group disagree about
// its subscriptions, or none has told them.
func (c *clients) registerConsumerLocked(conn *remoting.Conn, h *heartbeatData, d *consumerData) (disagree bool) {
	g := c.groups[d.Group]
	if g == nil {
		g = &consumerGroup{subscriptions: make(map[string]*subscription), members: make(map[*remoting.Conn]string)}
		c.groups[d.Group] = g
	}
	_, member := g.members[conn]
	g.members[conn] = h.ClientID
	changed := !member
	if h.WithoutSubscriptions {
		disagree = g.fingerprint != h.Fingerprint
	} else {
		disagree = member && g.fingerprint != 0 && g.fingerprint != h.Fingerprint
		g.kind, g.model, g.fromWhere, g.fingerprint = d.Kind, d.Model, d.FromWhere, h.Fingerprint
		changed = g.subscribe(d) || changed
	}
	if changed {
		c.changeLocked(d.Group, g)
	}
	return disagree
}

// subscribe takes over the subscriptions of a heartbeat and reports whether
// the set of topics has changed.
func (g *consumerGroup) subscribe(d *consumerData) (changed bool) {
	told := make(map[string]struct{}, len(d.Subscriptions))
	for i := range d.Subscriptions {
		s := &d.Subscriptions[i]
		told[s.Topic] = struct{}{}
		if before := g.subscriptions[s.Topic]; before == nil || before.version < s.Version {
			g.subscriptions[s.Topic] = s.subscription()
			changed = changed || before == nil
		}
	}
	for topic := range g.subscriptions {
		if _, still := told[topic]; !still {
			delete(g.subscriptions, topic)
			changed = true
		}
	}
	return changed
}

// changeLocked has the members of a group told, unless each of them consumes
// everything anyway.
func (c *clients) changeLocked(name string, g *consumerGroup) {
	if g.model == modelBroadcasting || !c.mayNotify(name) {
		return
	}
	c.changed[name] = struct{}{}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// runNotices tells the members of groups that have changed. Changes that come
// while it is busy are told together.
func (c *clients) runNotices(ctx context.Context) {
	for {
		select {
		case <-c.wake:
		case <-ctx.Done():
			return
		}
		for _, n := range c.takeNotices() {
			c.notify(n.conn, n.group)
		}
	}
}

// notice is one member that is to be told.
type notice struct {
	conn  *remoting.Conn
	group string
}

func (c *clients) takeNotices() []notice {
	c.mu.Lock()
	defer c.mu.Unlock()
	var notices []notice
	for name := range c.changed {
		if g := c.groups[name]; g != nil {
			for conn := range g.members {
				notices = append(notices, notice{conn, name})
			}
		}
	}
	clear(c.changed)
	return notices
}

// remove forgets a connection.
func (c *clients) remove(conn *remoting.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.removeLocked(conn)
}

func (c *clients) removeLocked(conn *remoting.Conn) {
	s := c.sessions[conn]
	if s == nil {
		return
	}
	c.dropLocked(conn, s)
	for group := range s.consumers {
		c.leaveLocked(conn, group)
	}
}

func (c *clients) leaveLocked(conn *remoting.Conn, group string) {
	g := c.groups[group]
	if g == nil {
		return
	}
	delete(g.members, conn)
	if len(g.members) == 0 {
		delete(c.groups, group)
		return
	}
	c.changeLocked(group, g)
}

// leave takes a connection out of a producer group and a consumer group; ""
// stands for none.
func (c *clients) leave(conn *remoting.Conn, producers, consumers string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.sessions[conn]
	if s == nil {
		return
	}
	delete(s.producers, producers)
	if _, member := s.consumers[consumers]; member {
		delete(s.consumers, consumers)
		c.leaveLocked(conn, consumers)
	}
	if s.groups() == 0 {
		c.dropLocked(conn, s)
	}
}

func (c *clients) dropLocked(conn *remoting.Conn, s *session) {
	delete(c.sessions, conn)
	c.bytes -= s.bytes
	if c.names[s.client] == conn {
		delete(c.names, s.client)
	}
}

// producer is the connection of a producer, nil when none of that client id is
// online.
func (c *clients) producer(client string) *remoting.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.names[client]
}

// expire forgets the connections whose last heartbeat is too long ago, and
// returns them.
func (c *clients) expire() []*remoting.Conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	var expired []*remoting.Conn
	oldest := c.config.Clock().Add(-c.config.Limits.ClientExpiry)
	for conn, s := range c.sessions {
		if s.seen.Before(oldest) {
			expired = append(expired, conn)
		}
	}
	for _, conn := range expired {
		c.removeLocked(conn)
	}
	return expired
}

// subscription is what the group wants of the topic.
func (c *clients) subscription(group, topic []byte) (*subscription, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.groups[string(group)]
	if g == nil {
		return nil, refuse(remoting.ResponseSubscriptionNotExist, "the consumer's group info not exist")
	}
	s := g.subscriptions[string(topic)]
	if s == nil {
		return nil, refuse(remoting.ResponseSubscriptionNotExist, "the consumer's subscription not exist")
	}
	return s, nil
}

// outdated has a client asked for its subscriptions with its next heartbeat,
// which would leave them out: a fingerprint doesn't tell their versions, and the
// Java client loses a heartbeat that tells new ones while another is under way.
func (c *clients) outdated(conn *remoting.Conn) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.sessions[conn]; s != nil {
		s.outdated = true
	}
}

// broadcasts reports whether each member of the group consumes everything.
func (c *clients) broadcasts(group []byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.groups[string(group)]
	return g != nil && g.model == modelBroadcasting
}

// members are the client ids of a group, in order. A client that has several
// connections, as through other nodes, is one member.
func (c *clients) members(group string) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.groups[group]
	if g == nil {
		return nil
	}
	return slices.Compact(slices.Sorted(maps.Values(g.members)))
}

// name is the client id of a connection, "" before its first heartbeat.
func (c *clients) name(conn *remoting.Conn) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.sessions[conn]; s != nil {
		return s.client
	}
	return ""
}
