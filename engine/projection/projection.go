package projection

import (
	"io"

	"github.com/apogeemq/apogee/engine/event"
)

// Place says where an event stands in the log. All but FrameOffset and
// Segment are the same on every replica; those two are too where segments are
// cut alike.
type Place struct {
	// Index of the frame that holds the event.
	Index event.Index
	// Position of the event itself.
	Position event.Position
	// Timestamp of the frame in Unix milliseconds. It never goes back along
	// the log.
	Timestamp int64
	// Segment is the base position of the segment that holds the frame. It
	// names the segment's file.
	Segment event.Position
	// FrameOffset is the byte offset of the frame's header in that file.
	FrameOffset uint32
}

// Projection is a fold over the log. See the package comment for the rules.
type Projection interface {
	// Name of the projection: short, constant, unique. It names the section
	// of its checkpoint.
	Name() string
	// Apply takes in the next event of the log. It keeps nothing of e, which
	// aliases a buffer of the caller. It panics with a text that begins with
	// BUG on what a proposer must never let through.
	Apply(at Place, e event.Event)
	// Checkpoint writes the whole state. Equal states give equal bytes.
	// Errors are those of w.
	Checkpoint(w io.Writer) error
	// Restore replaces the state by that of a checkpoint and reads r to its
	// end. After an error the state is what it was before. Errors match
	// ErrCorrupt when the bytes are to blame.
	Restore(r io.Reader) error
}
