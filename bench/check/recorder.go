package check

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

const magic = "apogee history 1\n"

// textBytesMax bounds a text; longer ones are cut.
const textBytesMax = 4 << 10

// Recorder writes a history. It is safe for concurrent use; the order of calls
// is the order of events. After an error it writes nothing more, and Close
// returns the error.
type Recorder struct {
	clock func() time.Duration

	mu   sync.Mutex
	out  *bufio.Writer
	line []byte
	last time.Duration
	err  error
}

// NewRecorder writes to w. The clock tells the time since the run began.
func NewRecorder(w io.Writer, clock func() time.Duration) *Recorder {
	r := &Recorder{clock: clock, out: bufio.NewWriterSize(w, 64<<10)}
	_, r.err = r.out.WriteString(magic)
	return r
}

// Record appends an event. It sets the event's time.
func (r *Recorder) Record(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return
	}
	e.At = max(r.clock().Truncate(time.Microsecond), r.last)
	r.line = appendEvent(r.line[:0], &e, e.At-r.last)
	r.last = e.At
	_, r.err = r.out.Write(r.line)
}

// Close writes what is still in memory. It doesn't close the writer below.
func (r *Recorder) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	err := r.err
	if err == nil {
		err = r.out.Flush()
	}
	if err != nil {
		err = fmt.Errorf("write history: %w", err)
	}
	r.err = errors.Join(err, errClosed)
	return err
}

var errClosed = errors.New("the recorder is closed")
