package replication

import (
	"fmt"
	"slices"
	"strings"

	"github.com/apogeemq/apogee/engine"
	"github.com/apogeemq/apogee/engine/event"
)

// Difference is what two replicas of a group have not in common after the same
// frame, which they should.
type Difference struct {
	Frame event.Index
	Parts []string // engine.LogPart, or projections
}

// Describe says what differs between two replicas, by the names that the reader
// knows them by, and what helps.
func (d Difference) Describe(one, other string) string {
	if slices.Contains(d.Parts, engine.LogPart) {
		return fmt.Sprintf("%s and %s have different logs up to frame %d: keep both folders, then `apogee admin remove-peer` the one that is wrong, empty its folder, and `apogee admin add-peer` it again",
			one, other, d.Frame)
	}
	return fmt.Sprintf("%s and %s have made different things of the same log (%s): please report it with both folders; stop one after the other, delete `log/index` and `waiting` and start it again: it makes them anew from its log",
		one, other, strings.Join(d.Parts, ", "))
}

// PeerDifference is what a leader has found to differ between another member and
// itself.
type PeerDifference struct {
	Member
	Difference
}
