package node

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/apogeemq/apogee/server/broker"
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

// track answers GET /track?id=ID&topic=TOPIC as `apogee admin track --json` does
// for one broker. The topic may be left out.
func (a *admin) track(w http.ResponseWriter, r *http.Request) {
	if len(a.node.shards) == 0 {
		http.Error(w, errNotServing.Error(), http.StatusServiceUnavailable)
		return
	}
	answer, err := a.node.shards[0].track(r.FormValue("id"), r.FormValue("topic"))
	if errors.Is(err, errNotServing) {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	if err != nil {
		status, known := trackStatus[broker.RefusalCode(err)]
		if !known {
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
