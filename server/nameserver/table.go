package nameserver

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/apogeemq/apogee/server/remoting"
)

// Bits of a topic's permission, as in RocketMQ's PermName.
const (
	permissionWrite = 2
	permissionRead  = 4
)

// connection is what the table knows of a broker's connection: remoting.Conn.
type connection interface {
	ID() uint64
	Close()
}

// endpoint names one broker process.
type endpoint struct {
	cluster, address string
}

// identity is how a broker introduces itself.
type identity struct {
	endpoint
	brokerName string
	brokerID   int64
}

// announcement is everything that REGISTER_BROKER says.
type announcement struct {
	identity
	registration
	haAddress      string
	zone           string
	timeoutMillis  int64
	actingMaster   bool // the slave with the lowest id stands in for a lost master
	knowsActing    bool // the broker is new enough to say so
	forwards       bool // the broker passes on to the master what is the master's
	connection     connection
	receivedMillis int64
}

// brokerData is one broker name: a master and its slaves.
type brokerData struct {
	name, cluster, zone string
	addresses           map[int64]string // broker id → address
	actingMaster        bool
}

// lowestID is the smallest broker id, remoting.MasterID when there is none.
func (b *brokerData) lowestID() int64 {
	if len(b.addresses) == 0 {
		return remoting.MasterID
	}
	return slices.Min(slices.Collect(maps.Keys(b.addresses)))
}

// liveBroker is one broker process that was heard of lately.
type liveBroker struct {
	identity
	heardMillis, timeoutMillis int64
	version                    DataVersion
	connection                 connection
	haAddress                  string
	forwards                   bool
}

// table holds all routes. It is RouteInfoManager without the parts that the
// package comment names.
type table struct {
	mu       sync.RWMutex
	topics   map[string]map[string]queueData // topic → broker name →
	brokers  map[string]*brokerData          // broker name →
	clusters map[string]map[string]struct{}  // cluster → broker names
	live     map[endpoint]*liveBroker
	terms    map[string]int64 // broker name → latest term that a master was known in
	routes   int              // pairs of topic and broker name
	limits   Limits
}

// Limits bound the memory of a nameserver.
type Limits struct {
	Brokers int // broker processes
	Routes  int // pairs of topic and broker name
}

func newTable(limits Limits) *table {
	return &table{
		topics:   map[string]map[string]queueData{},
		brokers:  map[string]*brokerData{},
		clusters: map[string]map[string]struct{}{},
		live:     map[endpoint]*liveBroker{},
		terms:    map[string]int64{},
		limits:   limits,
	}
}

// errRefused: an incremental registration of a broker that isn't known. The
// text is the remark that brokers get.
var errRefused = errors.New("register broker failed")

// errFull: the nameserver holds as much as it may.
var errFull = errors.New("nameserver is full")

// masterOf answers a slave's registration.
type masterOf struct {
	haAddress, address string
}

// register takes a broker's announcement. For a slave it returns where its
// master is.
func (t *table) register(a announcement) (masterOf, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.brokers[a.brokerName]
	first := b == nil
	if first {
		b = &brokerData{name: a.brokerName, cluster: a.cluster, addresses: map[int64]string{}}
	}
	if t.outranked(b, a) {
		delete(t.live, a.endpoint)
		return masterOf{}, nil
	}
	if err := t.admit(b, a); err != nil {
		return masterOf{}, err
	}
	t.brokers[a.brokerName] = b
	names := t.clusters[a.cluster]
	if names == nil {
		names = map[string]struct{}{}
		t.clusters[a.cluster] = names
	}
	names[a.brokerName] = struct{}{}
	b.actingMaster, b.zone = a.actingMaster, a.zone
	// A slave that became master keeps its address: it has one id only.
	maps.DeleteFunc(b.addresses, func(id int64, address string) bool {
		return address == a.address && id != a.brokerID
	})
	_, known := b.addresses[a.brokerID]
	b.addresses[a.brokerID] = a.address
	t.takeTopics(b, a, first || !known)
	t.noteTerm(a)
	t.live[a.endpoint] = &liveBroker{identity: a.identity, heardMillis: a.receivedMillis,
		timeoutMillis: a.timeoutMillis, version: a.version, connection: a.connection, haAddress: a.haAddress, forwards: a.forwards}
	return t.master(b, a), nil
}

// noteTerm remembers the term of a master, for one that comes back later and
// asks whether it still is one. What is remembered is bounded as brokers are.
func (t *table) noteTerm(a announcement) {
	if a.brokerID != remoting.MasterID || a.version.StateVersion <= t.terms[a.brokerName] {
		return
	}
	if len(t.terms) >= t.limits.Brokers {
		clear(t.terms)
	}
	t.terms[a.brokerName] = a.version.StateVersion
}

// masterNow is the master of a broker name, and the latest term in which there
// was one.
func (t *table) masterNow(cluster, brokerName string) (m masterOf, term int64) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	term = t.terms[brokerName]
	if b := t.brokers[brokerName]; b != nil {
		m.address = b.addresses[remoting.MasterID]
	}
	if live := t.live[endpoint{cluster, m.address}]; live != nil {
		m.haAddress = live.haAddress
	}
	return m, term
}

// outranked reports whether the id belongs to another process of a newer
// state, so that a deposed master that comes back can't push out its heir.
func (t *table) outranked(b *brokerData, a announcement) bool {
	address, ok := b.addresses[a.brokerID]
	if !ok || address == a.address {
		return false
	}
	holder := t.live[endpoint{a.cluster, address}]
	return holder != nil && holder.version.StateVersion > a.version.StateVersion
}

// admit refuses what would be misunderstood or doesn't fit. Nothing has been
// changed when it does.
func (t *table) admit(b *brokerData, a announcement) error {
	if _, known := b.addresses[a.brokerID]; !known && len(a.topics) == 1 {
		return errRefused
	}
	if t.live[a.endpoint] == nil && len(t.live) >= t.limits.Brokers {
		return fmt.Errorf("%w: it holds %d brokers", errFull, len(t.live))
	}
	fresh := 0
	for topic := range a.topics {
		if _, ok := t.topics[topic][a.brokerName]; !ok {
			fresh++
		}
	}
	if t.routes+fresh > t.limits.Routes {
		return fmt.Errorf("%w: it holds %d topics of brokers, %d more don't fit", errFull, t.routes, fresh)
	}
	return nil
}

// takeTopics stores the topics that are new or changed. Only the master tells
// about topics, or the first slave while there is none.
func (t *table) takeTopics(b *brokerData, a announcement, first bool) {
	leads := a.brokerID == remoting.MasterID
	stands := !leads && a.knowsActing && a.brokerID == b.lowestID()
	if !leads && !stands {
		return
	}
	previous := t.live[a.endpoint]
	changed := first || previous == nil || previous.version != a.version
	for topic, q := range a.topics {
		byBroker := t.topics[topic]
		if _, ok := byBroker[b.name]; ok && !changed {
			continue
		}
		if stands && b.actingMaster {
			q.permission &^= permissionWrite
		}
		if byBroker == nil {
			byBroker = map[string]queueData{}
			t.topics[topic] = byBroker
		}
		if _, ok := byBroker[b.name]; !ok {
			t.routes++
		}
		byBroker[b.name] = q
	}
}

// master tells a slave where its master is.
func (t *table) master(b *brokerData, a announcement) masterOf {
	address, ok := b.addresses[remoting.MasterID]
	if a.brokerID == remoting.MasterID || !ok {
		return masterOf{}
	}
	m := t.live[endpoint{a.cluster, address}]
	if m == nil {
		return masterOf{}
	}
	return masterOf{haAddress: m.haAddress, address: address}
}

// unregister forgets one broker process, and the topics of its name when it
// was the last. It reports whether the process was known.
func (t *table) unregister(id identity) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	known := t.live[id.endpoint] != nil
	t.removeLocked(id)
	return known
}

func (t *table) removeLocked(id identity) {
	delete(t.live, id.endpoint)
	b := t.brokers[id.brokerName]
	if b == nil {
		return
	}
	maps.DeleteFunc(b.addresses, func(_ int64, address string) bool { return address == id.address })
	if len(b.addresses) > 0 {
		if b.actingMaster && b.lowestID() != remoting.MasterID {
			t.changePermissionLocked(b.name, func(p int32) int32 { return p &^ permissionWrite })
		}
		return
	}
	delete(t.brokers, b.name)
	if names := t.clusters[b.cluster]; names != nil {
		if delete(names, b.name); len(names) == 0 {
			delete(t.clusters, b.cluster)
		}
	}
	for topic := range t.topics {
		t.removeRouteLocked(topic, b.name)
	}
}

func (t *table) removeRouteLocked(topic, brokerName string) {
	byBroker := t.topics[topic]
	if _, ok := byBroker[brokerName]; !ok {
		return
	}
	t.routes--
	if delete(byBroker, brokerName); len(byBroker) == 0 {
		delete(t.topics, topic)
	}
}

// disconnected forgets every broker that registered on a connection.
func (t *table) disconnected(connectionID uint64) []identity {
	return t.removeWhere(func(b *liveBroker) bool {
		return b.connection != nil && b.connection.ID() == connectionID
	}, func(*liveBroker) {})
}

// expire forgets the brokers that were silent for too long and closes their
// connections, so that they notice and register again.
func (t *table) expire(nowMillis int64) []identity {
	return t.removeWhere(func(b *liveBroker) bool {
		return b.heardMillis+b.timeoutMillis < nowMillis
	}, func(b *liveBroker) {
		if b.connection != nil {
			b.connection.Close()
		}
	})
}

// removeWhere forgets matching brokers, then calls after for each without
// holding the lock.
func (t *table) removeWhere(match func(*liveBroker) bool, after func(*liveBroker)) []identity {
	t.mu.Lock()
	var removed []*liveBroker
	for _, b := range t.live {
		if match(b) {
			removed = append(removed, b)
		}
	}
	var ids []identity
	for _, b := range removed {
		t.removeLocked(b.identity)
		ids = append(ids, b.identity)
	}
	t.mu.Unlock()
	for _, b := range removed {
		after(b)
	}
	slices.SortFunc(ids, func(a, b identity) int { return strings.Compare(a.address, b.address) })
	return ids
}

// heard notes a sign of life and returns the version registered, and whether
// the broker is known at all.
func (t *table) heard(e endpoint, nowMillis int64) (DataVersion, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.live[e]
	if b == nil {
		return DataVersion{}, false
	}
	b.heardMillis = nowMillis
	return b.version, true
}

// changePermission changes all topics of a broker name and counts them.
func (t *table) changePermission(brokerName string, change func(int32) int32) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.changePermissionLocked(brokerName, change)
}

func (t *table) changePermissionLocked(brokerName string, change func(int32) int32) int {
	count := 0
	for _, byBroker := range t.topics {
		if q, ok := byBroker[brokerName]; ok {
			q.permission = change(q.permission)
			byBroker[brokerName] = q
			count++
		}
	}
	return count
}

// addTopic gives a topic queues on brokers that are known. Those of others are
// left out: nobody would take them away again.
func (t *table) addTopic(topic string, queues map[string]queueData) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.routes+len(queues) > t.limits.Routes {
		return fmt.Errorf("%w: it holds %d topics of brokers", errFull, t.routes)
	}
	for name, q := range queues {
		if t.brokers[name] == nil {
			continue
		}
		if t.topics[topic] == nil {
			t.topics[topic] = map[string]queueData{}
		}
		if _, ok := t.topics[topic][name]; !ok {
			t.routes++
		}
		t.topics[topic][name] = q
	}
	return nil
}

// deleteTopic forgets a topic on the brokers of a cluster, on all when the
// cluster is "".
func (t *table) deleteTopic(topic, cluster string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for name := range maps.Clone(t.topics[topic]) {
		if _, ok := t.clusters[cluster][name]; ok || cluster == "" {
			t.removeRouteLocked(topic, name)
		}
	}
}
