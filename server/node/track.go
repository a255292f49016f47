package node

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/apogeemq/apogee/server/broker"
	"github.com/apogeemq/apogee/server/broker/track"
	"github.com/apogeemq/apogee/server/remoting"
)

// errNotServing: the broker takes no requests.
var errNotServing = errors.New("no broker takes requests here")

// trackStatus is the HTTP status of what a broker refuses; all else is an error
// of the server.
var trackStatus = map[int32]int{
	remoting.ResponseInvalidParameter: http.StatusBadRequest,
	remoting.ResponseQueryNotFound:    http.StatusNotFound,
	remoting.ResponseSystemBusy:       http.StatusServiceUnavailable,
}

// track tells what became of the messages with an id: a track.Answer of the one
// broker, or a list of them where there are several. Any of these may have a
// message, and several the same one that was sent again. It says that there is
// none when no broker has it.
func (n *Node) track(id, topic string) (any, error) {
	if len(n.shards) == 1 && !n.config.severalShards() {
		return n.shards[0].track(id, topic)
	}
	var found []track.Answer
	var none error
	for _, s := range n.hostedShards() {
		answer, err := s.track(id, topic)
		switch {
		case err == nil:
			found = append(found, answer)
		case broker.RefusalCode(err) == remoting.ResponseQueryNotFound:
			none = err
		default:
			return nil, err
		}
	}
	if len(found) == 0 {
		return nil, none
	}
	return found, nil
}

// track answers GET /track?id=ID&topic=TOPIC as `apogee admin track --json` does.
// The topic may be left out.
func (a *admin) track(w http.ResponseWriter, r *http.Request) {
	if len(a.node.hostedShards()) == 0 {
		http.Error(w, errNotServing.Error(), http.StatusServiceUnavailable)
		return
	}
	answer, err := a.node.track(r.FormValue("id"), r.FormValue("topic"))
	if err != nil {
		status, known := trackStatus[broker.RefusalCode(err)]
		switch {
		case errors.Is(err, errNotServing):
			status = http.StatusServiceUnavailable
		case !known:
			status = http.StatusInternalServerError
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
