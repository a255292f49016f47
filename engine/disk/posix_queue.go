//go:build unix

package disk

// posixQueue runs its operations one after another in the owner's goroutine.
// While one runs, whatever arrives gathers for the next write: a group commit
// without a thread to hand over to.
type posixQueue struct {
	pending []operation
	ended   []Completion
	wake    chan struct{}
}

type operation struct {
	kind operationKind
	file *posixFile
	buf  []byte // of a write; may be empty
	at   int64
	tag  uint64
}

// operationKind says what an operation does. It is never guessed from the
// buffer: a write of nothing is a write.
type operationKind uint8

const (
	operationWrite operationKind = iota + 1
	operationWriteDurable
	operationSync
)

func (k operationKind) writes() bool { return k == operationWrite || k == operationWriteDurable }
func (k operationKind) syncs() bool  { return k == operationSync || k == operationWriteDurable }

func newPosixQueue() *posixQueue { return &posixQueue{wake: make(chan struct{}, 1)} }

func (q *posixQueue) Write(f File, buf []byte, at int64, tag uint64) {
	q.pending = append(q.pending, operation{kind: operationWrite, file: f.(*posixFile), buf: buf, at: at, tag: tag})
}

func (q *posixQueue) WriteDurable(f File, buf []byte, at int64, tag uint64) {
	q.pending = append(q.pending, operation{kind: operationWriteDurable, file: f.(*posixFile), buf: buf, at: at, tag: tag})
}

func (q *posixQueue) SyncData(f File, tag uint64) {
	q.pending = append(q.pending, operation{kind: operationSync, file: f.(*posixFile), tag: tag})
}

func (o operation) run() error {
	if o.kind.writes() {
		if _, err := o.file.WriteAt(o.buf, o.at); err != nil {
			return err
		}
	}
	if o.kind.syncs() {
		return o.file.SyncData()
	}
	return nil
}

func (q *posixQueue) Wait(done []Completion) (int, error) {
	if len(q.pending) == 0 && len(q.ended) == 0 {
		<-q.wake
		return 0, nil
	}
	for i, o := range q.pending {
		q.ended = append(q.ended, Completion{Tag: o.tag, Err: o.run()})
		q.pending[i] = operation{}
	}
	q.pending = q.pending[:0]
	n := copy(done, q.ended)
	q.ended = q.ended[:copy(q.ended, q.ended[n:])]
	return n, nil
}

func (q *posixQueue) Overlaps() bool { return false }

func (q *posixQueue) Wake() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

func (q *posixQueue) Close() error {
	for len(q.pending) > 0 {
		var done [8]Completion
		if _, err := q.Wait(done[:]); err != nil {
			return err
		}
	}
	return nil
}
