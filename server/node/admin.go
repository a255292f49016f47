package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"sync/atomic"
	"time"
)

// admin is the HTTP server for operators. It only reads, but in fault runs.
type admin struct {
	node    *Node
	server  *http.Server
	state   atomic.Pointer[string] // why the node isn't ready; nil when it is
	stopped chan struct{}
}

// newAdmin serves on l, which it owns from now on.
func newAdmin(l net.Listener, n *Node) *admin {
	a := &admin{node: n, stopped: make(chan struct{})}
	a.notReady(starting)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "alive") })
	mux.HandleFunc("GET /readyz", a.readyz)
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; version=0.0.4")
		n.writeMetrics(w)
	})
	mux.HandleFunc("GET /track", a.track)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	n.faults.register(mux)
	a.server = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(n.log.Handler(), slog.LevelDebug)}
	go func() {
		defer close(a.stopped)
		if err := a.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			n.log.Error("admin server ended", "cause", err)
		}
	}()
	return a
}

// starting is the state before the node and its shards have said more.
const starting = "starting"

func (a *admin) ready()              { a.state.Store(nil) }
func (a *admin) notReady(why string) { a.state.Store(&why) }

// readyz answers 200 while the brokers take requests, else 503 and the reason.
func (a *admin) readyz(w http.ResponseWriter, _ *http.Request) {
	if why := a.waits(); why != "" {
		http.Error(w, why, http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}

// waits tells what the node waits for, or its shards; "" for nothing.
func (a *admin) waits() string {
	why := a.state.Load()
	if why == nil {
		return ""
	}
	if *why != starting {
		return *why
	}
	var waiting []string
	for _, s := range a.node.hostedShards() {
		if what := s.waits.Load(); what != nil {
			line := *what
			if s.config.severalShards() {
				line = s.config.BrokerName + ": " + line
			}
			waiting = append(waiting, line)
		}
	}
	if len(waiting) == 0 {
		return *why
	}
	return strings.Join(waiting, "\n")
}

// close ends the server; a profile that is being taken is cut off when the
// context ends.
func (a *admin) close(ctx context.Context) {
	if a.server.Shutdown(ctx) != nil {
		_ = a.server.Close()
	}
	<-a.stopped
}
