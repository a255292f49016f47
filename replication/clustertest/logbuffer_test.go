package clustertest

import "sync"

// logBuffer keeps the last lines that Raft has logged.
type logBuffer struct {
	mu    sync.Mutex
	lines []string
}

const logLinesMax = 60

// Write takes in a line.
func (b *logBuffer) Write(line []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.lines) == logLinesMax {
		b.lines = b.lines[1:]
	}
	b.lines = append(b.lines, string(line))
	return len(line), nil
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all string
	for _, line := range b.lines {
		all += "\t" + line
	}
	return all
}
