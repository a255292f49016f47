package log

import (
	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latency has percentiles in milliseconds.
type Latency struct {
	P50  float64 `json:"p50"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

func latencyOf(h *hdrhistogram.Histogram) Latency {
	millis := func(q float64) float64 { return float64(h.ValueAtQuantile(q)) / 1e6 }
	return Latency{P50: millis(50), P99: millis(99), P999: millis(99.9), Max: float64(h.Max()) / 1e6}
}

// Sample is what one contender did in one cell of one round.
type Sample struct {
	Cell
	Contender         string  `json:"contender"`
	Round             int     `json:"round"`
	Seconds           float64 `json:"seconds"`
	Messages          int64   `json:"messages"`
	MessagesPerSecond float64 `json:"messagesPerSecond"`
	BytesPerSecond    float64 `json:"bytesPerSecond"` // of bodies
	Latency           Latency `json:"latencyMillis"`
	// CPU and switches are the whole process's, producers included.
	CPUMicros           float64    `json:"cpuMicrosPerMessage"`
	VoluntarySwitches   float64    `json:"voluntarySwitchesPerMessage"`
	InvoluntarySwitches float64    `json:"involuntarySwitchesPerMessage"`
	Operations          Operations `json:"operations"`
	// WrittenPerByte and FillPerByte are bytes written per byte of bodies: by
	// the log, and by zero-fill beside it.
	WrittenPerByte float64 `json:"writtenPerByte"`
	FillPerByte    float64 `json:"fillPerByte"`
	// KernelPerByte is the same by /proc/self/io, all together; -1 where unknown.
	KernelPerByte float64 `json:"kernelPerByte"`
}

// divide fills in what follows from messages, seconds and what was used.
func (s *Sample) divide(u usage) {
	messages := float64(max(1, s.Messages))
	body := messages * float64(s.Size)
	s.MessagesPerSecond = float64(s.Messages) / s.Seconds
	s.BytesPerSecond = s.MessagesPerSecond * float64(s.Size)
	s.CPUMicros = u.cpu.Seconds() * 1e6 / messages
	s.VoluntarySwitches = float64(u.voluntary) / messages
	s.InvoluntarySwitches = float64(u.involuntary) / messages
	s.WrittenPerByte = float64(s.Operations.WriteBytes) / body
	s.FillPerByte = float64(s.Operations.FillBytes) / body
	s.KernelPerByte = -1
	if u.written >= 0 {
		s.KernelPerByte = float64(u.written) / body
	}
}

// perMessage is a count per message.
func (s *Sample) perMessage(n int64) float64 { return float64(n) / float64(max(1, s.Messages)) }
