package nameserver

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/apogeemq/apogee/server/remoting"
)

// Defaults of a Config.
const (
	// DefaultBrokerTimeout is how long a silent broker stays in routes, unless
	// it asks for another time when it registers.
	DefaultBrokerTimeout = 120 * time.Second

	// maxBrokerTimeout bounds what a broker may ask for.
	maxBrokerTimeout = time.Hour
)

// DefaultLimits hold a large installation in less than a GiB of memory.
var DefaultLimits = Limits{Brokers: 10_000, Routes: 1_000_000}

// Config of a Server. The zero value is ready to use.
type Config struct {
	Clock         func() int64  // wall clock in ms; time.Now when nil
	BrokerTimeout time.Duration // DefaultBrokerTimeout when 0
	Limits        Limits        // DefaultLimits when zero
	Switches      *Switches     // at the start; DefaultSwitches() when nil
	// KeyValuePath is the file of the key-value configuration, in the format of
	// RocketMQ's kvConfig.json. It is made when it is needed. When "" the
	// key-value configuration ends with the process.
	KeyValuePath string
	Properties   string       // what else is configured, key=value on each line, for operators who ask
	Log          *slog.Logger // slog.Default() when nil
	Authorizer   Authorizer   // nil: everything is served
}

// Authorizer decides whether a request may be served. The text of its error
// goes to the sender; it keeps nothing of the command.
type Authorizer interface {
	Authorize(c *remoting.Conn, cmd *remoting.Command) error
}

// Server answers the nameserver's requests. It implements remoting.Handler.
type Server struct {
	config    Config
	table     *table
	keyValues *keyValues
	panel     panel
	replies   sync.Pool
	meters    *meters
}

// New returns a Server that knows no broker yet. The error is about the file
// of the key-value configuration.
func New(c Config) (*Server, error) {
	if c.Clock == nil {
		c.Clock = func() int64 { return time.Now().UnixMilli() }
	}
	if c.BrokerTimeout == 0 {
		c.BrokerTimeout = DefaultBrokerTimeout
	}
	if c.Limits == (Limits{}) {
		c.Limits = DefaultLimits
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	switches := DefaultSwitches()
	if c.Switches != nil {
		switches = *c.Switches
	}
	keyValues, err := openKeyValues(c.KeyValuePath)
	if err != nil {
		return nil, err
	}
	s := &Server{config: c, table: newTable(c.Limits), keyValues: keyValues}
	s.panel.current.Store(&switches)
	s.replies.New = func() any { return new(remoting.Reply) }
	s.meters = newMeters(s)
	return s, nil
}

// Run looks for silent brokers until the context ends. One Run per Server.
func (s *Server) Run(ctx context.Context) {
	for {
		timer := time.NewTimer(s.switches().ScanInterval)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
			s.ExpireBrokers()
		}
	}
}

func (s *Server) switches() *Switches { return s.panel.current.Load() }

// ExpireBrokers forgets the brokers that were silent for longer than their
// timeout, closes their connections, and returns how many there were.
func (s *Server) ExpireBrokers() int {
	expired := s.table.expire(s.config.Clock())
	s.meters.removed(removedExpired, len(expired))
	for _, id := range expired {
		s.config.Log.Warn("nameserver: broker silent for too long, removed from routes",
			"broker", id.brokerName, "id", id.brokerID, "cluster", id.cluster, "address", id.address)
	}
	return len(expired)
}

// Closed implements remoting.Handler: what registered on a connection that is
// gone leaves the routes at once.
func (s *Server) Closed(c *remoting.Conn) {
	gone := s.table.disconnected(c.ID())
	s.meters.removed(removedDisconnected, len(gone))
	for _, id := range gone {
		s.config.Log.Warn("nameserver: connection of broker closed, removed from routes",
			"broker", id.brokerName, "id", id.brokerID, "cluster", id.cluster, "address", id.address)
	}
}

// answer fills in the reply to one request. It runs on the reader goroutine of
// the connection and keeps nothing of the command.
type answer func(s *Server, c *remoting.Conn, cmd *remoting.Command, r *remoting.Reply)

// answers is every request the nameserver knows.
var answers = map[int32]answer{
	remoting.RequestGetRouteInfoByTopic:       (*Server).route,
	remoting.RequestGetBrokerClusterInfo:      (*Server).clusterInfo,
	remoting.RequestGetBrokerMemberGroup:      (*Server).memberGroup,
	remoting.RequestRegisterBroker:            (*Server).register,
	remoting.RequestUnregisterBroker:          (*Server).unregister,
	remoting.RequestBrokerHeartbeat:           (*Server).heartbeat,
	remoting.RequestQueryDataVersion:          (*Server).queryVersion,
	remoting.RequestGetAllTopicList:           (*Server).allTopics,
	remoting.RequestGetTopicsByCluster:        (*Server).topicsOfCluster,
	remoting.RequestGetSystemTopicListFromNS:  (*Server).systemTopics,
	remoting.RequestGetUnitTopicList:          (*Server).unitTopics,
	remoting.RequestGetHasUnitSubTopicList:    (*Server).unitTopics,
	remoting.RequestGetHasUnitSubUnunitTopics: (*Server).unitTopics,
	remoting.RequestDeleteTopicInNameserver:   (*Server).deleteTopic,
	remoting.RequestWipeWritePermOfBroker:     (*Server).wipeWritePermission,
	remoting.RequestAddWritePermOfBroker:      (*Server).addWritePermission,
	remoting.RequestRegisterTopicInNameserver: (*Server).registerTopic,
	remoting.RequestPutKVConfig:               (*Server).putKeyValue,
	remoting.RequestGetKVConfig:               (*Server).keyValue,
	remoting.RequestDeleteKVConfig:            (*Server).deleteKeyValue,
	remoting.RequestGetKVListByNamespace:      (*Server).keyValuesOf,
	remoting.RequestUpdateNameserverConfig:    (*Server).changeConfig,
	remoting.RequestGetNameserverConfig:       (*Server).showConfig,
}

// Handle implements remoting.Handler.
func (s *Server) Handle(rt remoting.ReplyTo, cmd *remoting.Command) {
	r := s.replies.Get().(*remoting.Reply)
	r.Reset()
	if fill, ok := answers[cmd.Code]; !s.authorized(rt.Conn, cmd, r) {
		// The reply says why.
	} else if ok {
		fill(s, rt.Conn, cmd, r)
	} else {
		refuse(r, remoting.ResponseRequestCodeNotSupported, remoting.NotSupported(cmd.Code))
	}
	s.meters.answered(cmd.Code, r.Code)
	rt.Send(r)
	s.replies.Put(r)
}

// authorized reports whether a request may be served. If not it fills in the
// reply.
func (s *Server) authorized(c *remoting.Conn, cmd *remoting.Command, r *remoting.Reply) bool {
	if s.config.Authorizer == nil {
		return true
	}
	if err := s.config.Authorizer.Authorize(c, cmd); err != nil {
		refuse(r, remoting.ResponseNoPermission, err.Error())
		return false
	}
	return true
}

func refuse(r *remoting.Reply, code int32, remark string) {
	r.Code, r.Remark = code, remark
}
