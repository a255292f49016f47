package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/tools/outbox/spool"
)

// admin is the HTTP server for operators and for the commands.
type admin struct {
	agent   *Agent
	listen  net.Listener
	server  *http.Server
	state   atomic.Pointer[string] // why the agent isn't ready; nil when it is
	stopped chan struct{}
}

func newAdmin(a *Agent) (*admin, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(a.config.BindAddress.String(), strconv.Itoa(a.config.AdminPort)))
	if err != nil {
		return nil, fmt.Errorf("listen on adminListenPort: %w; choose another port", err)
	}
	s := &admin{agent: a, listen: l, stopped: make(chan struct{})}
	s.notReady("starting")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "alive") })
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		a.WriteMetrics(w)
	})
	mux.HandleFunc("GET /outbox/stats", s.whenReady(func(*http.Request) (any, error) { return a.stats(), nil }))
	mux.HandleFunc("GET /outbox/waiting", s.whenReady(func(r *http.Request) (any, error) { return a.waiting(most(r)) }))
	mux.HandleFunc("GET /outbox/quarantine", s.whenReady(func(r *http.Request) (any, error) { return a.quarantined(most(r)) }))
	mux.HandleFunc("GET /outbox/message", s.whenReady(func(r *http.Request) (any, error) { return a.show(r.FormValue("topic"), r.FormValue("id")) }))
	mux.HandleFunc("POST /outbox/retry", s.whenReady(s.resolve(func(n event.Offset) error { return a.spool.Retry(n) })))
	mux.HandleFunc("POST /outbox/drop", s.whenReady(s.resolve(func(n event.Offset) error { return a.spool.Drop(n) })))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	s.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(a.log.Handler(), slog.LevelDebug)}
	go func() {
		defer close(s.stopped)
		if err := s.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			a.log.Error("admin server ended", "cause", err)
		}
	}()
	return s, nil
}

func (s *admin) address() string     { return s.listen.Addr().String() }
func (s *admin) ready()              { s.state.Store(nil) }
func (s *admin) notReady(why string) { s.state.Store(&why) }

// readyz answers 200 while sends are taken, else 503 and the reason.
func (s *admin) readyz(w http.ResponseWriter, _ *http.Request) {
	if why := s.state.Load(); why != nil {
		http.Error(w, *why, http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

func (s *admin) close(ctx context.Context) {
	if s.server.Shutdown(ctx) != nil {
		_ = s.server.Close()
	}
	<-s.stopped
}

// errRequest: what was asked makes no sense.
var errRequest = errors.New("bad request")

// whenReady answers with JSON.
func (s *admin) whenReady(f func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if why := s.state.Load(); why != nil {
			http.Error(w, *why, http.StatusServiceUnavailable)
			return
		}
		answer, err := f(r)
		if err != nil {
			status := http.StatusInternalServerError
			switch {
			case errors.Is(err, engine.ErrNotFound):
				status = http.StatusNotFound
			case errors.Is(err, errRequest):
				status = http.StatusBadRequest
			}
			http.Error(w, err.Error(), status)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		e := json.NewEncoder(w)
		e.SetEscapeHTML(false)
		e.SetIndent("", "  ")
		_ = e.Encode(answer) // a client that is gone misses nothing
	}
}

// listUsual and listMax bound how many messages a list has.
const (
	listUsual = 100
	listMax   = 10000
)

func most(r *http.Request) int {
	n, err := strconv.Atoi(r.FormValue("max"))
	if err != nil || n < 1 || n > listMax {
		return listUsual
	}
	return n
}

// resolved is the answer to retry and drop.
type resolved struct {
	Done int `json:"done"`
}

// resolve does something to entries of the quarantine: one, or all.
func (s *admin) resolve(f func(event.Offset) error) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		var numbers []event.Offset
		if r.FormValue("all") == "true" {
			err := s.agent.spool.VisitQuarantine(func(q spool.Quarantined) error {
				numbers = append(numbers, q.Number)
				return nil
			})
			if err != nil {
				return nil, err
			}
		} else {
			n, err := strconv.ParseInt(r.FormValue("number"), 10, 64)
			if err != nil {
				return nil, fmt.Errorf("%w: number %q is no number", errRequest, r.FormValue("number"))
			}
			numbers = []event.Offset{event.Offset(n)}
		}
		done := 0
		var failed []error
		for _, n := range numbers {
			if err := f(n); err != nil {
				failed = append(failed, err)
				continue
			}
			done++
		}
		return resolved{done}, errors.Join(failed...)
	}
}

// Listed is a message of a list.
type Listed struct {
	Number     int64  `json:"number"` // in the quarantine, else in its stream
	Topic      string `json:"topic"`
	Broker     string `json:"broker,omitempty"`
	Queue      int32  `json:"queue"`
	Key        string `json:"shardingKey,omitempty"`
	ID         string `json:"id"` // unique id; of a batch's first message
	Messages   int    `json:"messages"`
	Born       int64  `json:"born"`  // Unix milliseconds
	Since      int64  `json:"since"` // in the spool, or in the quarantine
	Duplicate  bool   `json:"possibleDuplicate,omitempty"`
	Reason     string `json:"reason,omitempty"`
	Properties string `json:"properties,omitempty"`
	Body       []byte `json:"body,omitempty"`
}

func listed(i spool.Item) Listed {
	var l letter
	row := Listed{Number: int64(i.Offset), Since: i.Timestamp, Duplicate: i.Doubt}
	if err := l.open(i.Payload); err != nil {
		row.Reason = err.Error()
		return row
	}
	r := &l.request
	row.Topic, row.Broker, row.Queue, row.Key, row.ID = string(r.topic), l.broker, r.queue, string(r.shardingKey), l.uniqueID()
	row.Messages, row.Born = l.messages(), r.born
	return row
}

// waiting lists what waits, the first messages of every stream first.
func (a *Agent) waiting(most int) ([]Listed, error) {
	rows := []Listed{}
	streams := a.spool.Streams()
	for _, s := range streams {
		each := max(1, most/len(streams))
		_, err := s.Read(s.First(), engine.ReadLimits{Count: each, Bytes: 64 << 20, Scan: each}, func(i spool.Item) error {
			rows = append(rows, listed(i))
			return nil
		})
		if err != nil && !spool.Damaged(err) {
			return nil, err
		}
		if len(rows) >= most {
			break
		}
	}
	return rows, nil
}

func (a *Agent) quarantined(most int) ([]Listed, error) {
	rows := []Listed{}
	enough := errors.New("enough")
	err := a.spool.VisitQuarantine(func(q spool.Quarantined) error {
		row := Listed{Topic: q.Entry.Name}
		if !q.Damaged {
			row = listed(q.Entry)
		}
		row.Number, row.Since, row.Reason = int64(q.Number), q.Since, q.Reason
		if rows = append(rows, row); len(rows) >= most {
			return enough
		}
		return nil
	})
	if errors.Is(err, enough) {
		err = nil
	}
	return rows, err
}

// show finds a message that waits by its unique id or a key.
func (a *Agent) show(topic, id string) ([]Listed, error) {
	if topic == "" || id == "" {
		return nil, fmt.Errorf("%w: topic and id are needed", errRequest)
	}
	rows := []Listed{}
	err := a.spool.Find(keyHash([]byte(topic), []byte(id)), func(i spool.Item) bool {
		var l letter
		if l.open(i.Payload) == nil && string(l.request.topic) == topic {
			row := listed(i)
			row.Properties, row.Body = string(l.request.properties), l.command.Body
			rows = append(rows, row)
		}
		return len(rows) < queryMax
	})
	if err == nil && len(rows) == 0 {
		err = fmt.Errorf("message %s of topic %s: %w: it was delivered, or never kept here", id, topic, engine.ErrNotFound)
	}
	return rows, err
}
