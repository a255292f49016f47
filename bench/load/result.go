package load

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Latency has percentiles in milliseconds.
type Latency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// Status counts the replies with one response code.
type Status struct {
	Code   int32  `json:"code"`
	Name   string `json:"name"`
	Count  int64  `json:"count"`
	Remark string `json:"remark,omitempty"` // of the first such reply
}

// Result is what one run measured.
type Result struct {
	Load               string    `json:"load"` // the options, readable
	Machine            Machine   `json:"machine"`
	Started            time.Time `json:"started"`
	Seconds            float64   `json:"seconds"` // measured window
	Requests           int64     `json:"requests"`
	Messages           int64     `json:"messages"`
	Bytes              int64     `json:"bytes"`                 // of message bodies
	RecordBytes        int64     `json:"recordBytes,omitempty"` // of pulled records, bodies included
	Arrived            int64     `json:"arrived,omitempty"`     // delayed or transactional messages that consumers can get, of the window
	Routes             int64     `json:"routes,omitempty"`      // answers of the nameserver during the load
	MessagesPerSecond  float64   `json:"messagesPerSecond"`
	MegabytesPerSecond float64   `json:"megabytesPerSecond"`
	Latency            Latency   `json:"latencyMillis"`
	Statuses           []Status  `json:"statuses"`
	Errors             int64     `json:"errors"`
	GeneratorCPUMicros float64   `json:"generatorCPUMicrosPerMessage"`
	Server             *Process  `json:"server,omitempty"`
}

var statusNames = map[int32]string{
	0: "SEND_OK", 10: "FLUSH_DISK_TIMEOUT", 11: "SLAVE_NOT_AVAILABLE", 12: "FLUSH_SLAVE_TIMEOUT",
	1: "SYSTEM_ERROR", 2: "SYSTEM_BUSY", 13: "MESSAGE_ILLEGAL", 14: "SERVICE_NOT_AVAILABLE",
	16: "NO_PERMISSION", 17: "TOPIC_NOT_EXIST", 19: "PULL_NOT_FOUND",
	20: "PULL_RETRY_IMMEDIATELY", 21: "PULL_OFFSET_MOVED", 29: "INVALID_PARAMETER",
}

// isStored tells whether a send reply with this code means that the message
// is in the broker's log.
func isStored(code int32) bool { return code == 0 || code >= 10 && code <= 12 }

// result turns the merged tally into numbers; window is the measured time and
// zeroName the name of reply code 0.
func (t *tally) result(window time.Duration, zeroName string) *Result {
	r := &Result{
		Machine: DescribeMachine(), Seconds: window.Seconds(),
		Requests: t.requests, Messages: t.messages, Bytes: t.bytes, RecordBytes: t.records,
		Latency: Percentiles(t.latency),
	}
	if window > 0 {
		r.MessagesPerSecond = float64(t.messages) / window.Seconds()
		r.MegabytesPerSecond = float64(t.bytes) / 1e6 / window.Seconds()
	}
	if t.stored > 0 {
		r.Statuses = append(r.Statuses, Status{Code: 0, Name: zeroName, Count: t.stored})
	}
	for _, code := range slices.Sorted(maps.Keys(t.others)) {
		name := statusNames[code]
		if name == "" {
			name = "code"
		}
		r.Statuses = append(r.Statuses, Status{Code: code, Name: name, Count: t.others[code], Remark: t.remarks[code]})
		if !isStored(code) {
			r.Errors += t.others[code]
		}
	}
	return r
}

func milliseconds(nanoseconds int64) float64 { return float64(nanoseconds) / 1e6 }

// perMessage fills in what divides by the number of messages.
func (r *Result) perMessage(generator time.Duration, server *Process) {
	messages := float64(max(1, r.Messages))
	r.GeneratorCPUMicros = generator.Seconds() * 1e6 / messages
	if server != nil {
		server.CPUMicrosPerMessage = server.CPUSeconds * 1e6 / messages
		if r.RecordBytes > 0 {
			server.ReadPerByte = float64(server.ReadBytes) / float64(r.RecordBytes)
		}
		r.Server = server
	}
}

// Print writes the result for a reader.
func (r *Result) Print(w io.Writer) error {
	m := r.Machine
	fmt.Fprintf(w, "%s\n%d cores, %s, %s, %s; %.1f s from %s\n", r.Load, m.Cores, m.Memory, m.System, m.Go,
		r.Seconds, r.Started.Format(time.RFC3339))
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "msg/s\tMB/s\tp50 ms\tp90 ms\tp99 ms\tp99.9 ms\tmax ms\terrors\tgenerator µs/msg\t")
	l := r.Latency
	fmt.Fprintf(table, "%.0f\t%.1f\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%d\t%.2f\t\n", r.MessagesPerSecond,
		r.MegabytesPerSecond, l.P50, l.P90, l.P99, l.P999, l.Max, r.Errors, r.GeneratorCPUMicros)
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print result: %w", err)
	}
	var lines strings.Builder
	for _, s := range r.Statuses {
		fmt.Fprintf(&lines, "%s (%d): %d replies", s.Name, s.Code, s.Count)
		if s.Remark != "" {
			fmt.Fprintf(&lines, ", the first: %s", s.Remark)
		}
		lines.WriteByte('\n')
	}
	if r.Arrived > 0 {
		fmt.Fprintf(&lines, "%d messages came into their queues, %.0f a second\n", r.Arrived, float64(r.Arrived)/r.Seconds)
	}
	if p := r.Server; p != nil {
		fmt.Fprintf(&lines, "process %d: %.2f µs CPU per message, resident %d MB average, %d MB peak (%d MB without mapped files)\n",
			p.PID, p.CPUMicrosPerMessage, p.ResidentAverage/1e6, p.ResidentPeak/1e6, p.AnonymousPeak/1e6)
		fmt.Fprintf(&lines, "process %d: %d MB read from disk, %d MB written to it", p.PID, p.ReadBytes/1e6, p.WriteBytes/1e6)
		if r.RecordBytes > 0 {
			fmt.Fprintf(&lines, "; %.2f bytes read per byte delivered", p.ReadPerByte)
		}
		lines.WriteByte('\n')
	}
	_, err := io.WriteString(w, lines.String())
	return err
}
