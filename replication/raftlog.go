package replication

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"time"
)

// raftLog writes the lines of Raft's logger to the node's. A line begins with a
// time, a level in brackets and "raft: ". What Raft says again and again, while
// a peer is down, is told once in a while.
type raftLog struct {
	text *slog.Logger

	mu   sync.Mutex
	told map[string]time.Time // by what a line begins with
}

// toldPeriod is the time between two lines that begin alike, toldMax how many
// beginnings are remembered.
const (
	toldPeriod = 10 * time.Second
	toldMax    = 256
)

var raftLevels = []struct {
	word  []byte
	level slog.Level
}{
	{[]byte("[ERROR]"), slog.LevelWarn}, // what Raft can't do, it tries again
	{[]byte("[WARN]"), slog.LevelInfo},
	{[]byte("[INFO]"), slog.LevelDebug},
}

// Write takes one line.
func (w *raftLog) Write(line []byte) (int, error) {
	level, text := slog.LevelDebug, line
	for _, l := range raftLevels {
		if at := bytes.Index(line, l.word); at >= 0 {
			level, text = l.level, line[at+len(l.word):]
			break
		}
	}
	text = bytes.TrimPrefix(bytes.TrimSpace(text), []byte("raft: "))
	if level > slog.LevelDebug && w.again(text) {
		level = slog.LevelDebug
	}
	w.text.Log(context.Background(), level, "raft: "+string(text))
	return len(line), nil
}

// again reports whether a line that begins alike was told lately.
func (w *raftLog) again(text []byte) bool {
	begin, _, _ := bytes.Cut(text, []byte(": "))
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if last, told := w.told[string(begin)]; told && now.Sub(last) < toldPeriod {
		return true
	}
	if w.told == nil || len(w.told) >= toldMax {
		w.told = make(map[string]time.Time)
	}
	w.told[string(begin)] = now
	return false
}
