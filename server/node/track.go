package node

import (
	"encoding/json"
	"net/http"

	"github.com/apogeemq/apogee/server/broker"
	"github.com/apogeemq/apogee/server/broker/track"
	"github.com/apogeemq/apogee/server/remoting"
)

// tracker tells what became of the messages with an id.
type tracker interface {
	Track(id, topicName string) (track.Answer, error)
}

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
	t := a.tracker.Load()
	if t == nil {
		http.Error(w, "no broker takes requests here", http.StatusServiceUnavailable)
		return
	}
	answer, err := (*t).Track(r.FormValue("id"), r.FormValue("topic"))
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
