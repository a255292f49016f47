package baseline

import (
	"debug/buildinfo"
	"fmt"
	"path/filepath"
	"strings"
)

// settings tells in sentences how the run was done.
func (o *Options) settings() []string {
	return []string{
		fmt.Sprintf("Bodies of 1 KiB, %d queues, one topic, %d connections over loopback; load generator and server share the cores.", queues, o.Connections),
		fmt.Sprintf("Each load ran %v after %v of warm-up, on a broker that had been under load for %v before.", o.Duration, o.Warmup, o.Settle),
		"While one server was under load the others were stopped (SIGSTOP); file systems were synced before each start and each load.",
		"The floor is a TCP server that parses the frame and answers, each request with a write of its own: for SYNC_FLUSH after one merged direct write and one fdatasync of all that waits, for ASYNC_FLUSH after the write alone. The gathered floor writes the answers of a connection together.",
		fmt.Sprintf("The cold backlog has %.1f GiB in 8 queues that were written in turn; the broker was killed and started again before it was read.", float64(o.BacklogBytes)/(1<<30)),
		"With many queues all topics were created first, the nameserver had to know all routes, and was asked for each of them every 30 s during the load.",
		"A transaction counts when its message is in its queue; the half message is sent and, when that is answered, committed one-way, as clients do. What is delayed by a level is delivered while the load goes on.",
		fmt.Sprintf("%d messages were stored to wait, due in one hour to 25; the server was killed and started again with them.", o.Pending),
		"A group is three processes on this machine and one disk; the load goes to the leader, whose CPU time and memory are told. Apogee's confirms a message when two have synced it. DLedger has no synchronous flush: it confirms when two have it in the page cache.",
		"Ratios are taken within a round.",
	}
}

// commands lists the load of each row, and of what comes before.
func (r *runner) commands() []string {
	o := r.options
	line := func(arguments []string) string { return filepath.Base(o.Self) + " " + strings.Join(arguments, " ") }
	commands := []string{fmt.Sprintf("%s --rounds %d --connections %d --duration %v --warmup %v --settle %v --heap %s --backlog-bytes %d --pending %d --servers %s --rows %s",
		line([]string{"bench", "baseline"}), o.Rounds, o.Connections, o.Duration, o.Warmup, o.Settle, o.Heap, o.BacklogBytes, o.Pending, strings.Join(o.Servers, ","), strings.Join(o.Rows, ","))}
	for i := range r.rows {
		row := &r.rows[i]
		if row.isStart() {
			continue
		}
		if row.kind == pacedColdRow {
			commands = append(commands, line(o.readBacklogArguments()))
		}
		if row.kind == coldRow {
			commands = append(commands, line(o.backlogArguments()))
		}
		if row.kind == pullRow {
			commands = append(commands, line(o.fillArguments()))
		}
		commands = append(commands, line(o.arguments(row)))
	}
	return commands
}

// revision is the commit that a binary was built from.
func revision(path string) string {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return "(revision unknown: " + err.Error() + ")"
	}
	text := "without a known revision"
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			text = "at revision " + s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			text += " with changes"
		}
	}
	return text
}
