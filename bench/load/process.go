package load

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strconv"
	"time"
)

// ticksPerSecond is the unit of CPU times in /proc, fixed for user space on
// every Linux architecture that Go supports.
const ticksPerSecond = 100

const sampleEvery = 100 * time.Millisecond

// Process is what a server's process used during the measured window.
type Process struct {
	PID                 int     `json:"pid"`
	CPUSeconds          float64 `json:"cpuSeconds"`
	CPUMicrosPerMessage float64 `json:"cpuMicrosPerMessage"`
	ResidentAverage     int64   `json:"residentAverageBytes"`
	ResidentPeak        int64   `json:"residentPeakBytes"`
	AnonymousPeak       int64   `json:"anonymousPeakBytes"`             // without mapped files
	ReadBytes           int64   `json:"readBytes"`                      // from disks
	WriteBytes          int64   `json:"writeBytes"`                     // to disks
	ReadPerByte         float64 `json:"readPerDeliveredByte,omitempty"` // of pulled records
}

// DiskBytes is what a process has caused disks to transfer so far.
type DiskBytes struct{ Read, Written int64 }

// Memory is a process's resident memory at one moment, in bytes.
type Memory struct{ Resident, Anonymous int64 }

// ParseStat returns the CPU time, user and system, of the content of
// /proc/PID/stat. The command name in it may contain spaces and brackets.
func ParseStat(stat []byte) (time.Duration, error) {
	at := bytes.LastIndexByte(stat, ')')
	if at < 0 {
		return 0, fmt.Errorf("parse process stat %.60q: no command name", stat)
	}
	fields := bytes.Fields(stat[at+1:])
	const user, system = 11, 12 // fields 14 and 15 of proc(5); the state is 3
	if len(fields) <= system {
		return 0, fmt.Errorf("parse process stat %.60q: %d fields after the name, 13 are needed", stat, len(fields))
	}
	var ticks int64
	for _, i := range []int{user, system} {
		n, err := strconv.ParseInt(string(fields[i]), 10, 64)
		if err != nil {
			return 0, fmt.Errorf("parse process stat: field %d: %w", i+3, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / ticksPerSecond), nil
}

// ParseStatus returns the memory in the content of /proc/PID/status.
func ParseStatus(status []byte) (Memory, error) {
	var m Memory
	for line := range bytes.Lines(status) {
		key, value, _ := bytes.Cut(line, []byte(":"))
		var target *int64
		switch string(key) {
		case "VmRSS":
			target = &m.Resident
		case "RssAnon":
			target = &m.Anonymous
		default:
			continue
		}
		text := string(bytes.TrimSpace(bytes.TrimSuffix(bytes.TrimSpace(value), []byte("kB"))))
		kilobytes, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return m, fmt.Errorf("parse process status: %s: %w", key, err)
		}
		*target = kilobytes << 10
	}
	if m.Resident == 0 {
		return m, fmt.Errorf("parse process status: no VmRSS: the process has ended")
	}
	return m, nil
}

// ReadMemory returns the resident memory of a running process.
func ReadMemory(pid int) (Memory, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Memory{}, fmt.Errorf("read memory of process %d: %w", pid, err)
	}
	return ParseStatus(status)
}

// ParseIO returns the disk traffic in the content of /proc/PID/io.
func ParseIO(io []byte) (DiskBytes, error) {
	var d DiskBytes
	found := 0
	for line := range bytes.Lines(io) {
		key, value, _ := bytes.Cut(line, []byte(":"))
		var target *int64
		switch string(key) {
		case "read_bytes":
			target = &d.Read
		case "write_bytes":
			target = &d.Written
		default:
			continue
		}
		n, err := strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64)
		if err != nil {
			return d, fmt.Errorf("parse process io: %s: %w", key, err)
		}
		*target = n
		found++
	}
	if found != 2 {
		return d, fmt.Errorf("parse process io: read_bytes and write_bytes are not both there")
	}
	return d, nil
}

// ReadDisk returns the disk traffic of a running process of the same user.
func ReadDisk(pid int) (DiskBytes, error) {
	io, err := os.ReadFile(fmt.Sprintf("/proc/%d/io", pid))
	if err != nil {
		return DiskBytes{}, fmt.Errorf("read disk traffic of process %d: %w", pid, err)
	}
	return ParseIO(io)
}

// ReadCPU returns the CPU time that a running process has used.
func ReadCPU(pid int) (time.Duration, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("read CPU time of process %d: %w", pid, err)
	}
	return ParseStat(stat)
}

// sampler watches one process from the start of the measured window until
// stop is called.
type sampler struct {
	pid     int
	from    time.Duration
	disk    DiskBytes // at the start
	samples []Memory
	cancel  context.CancelFunc
	done    chan struct{}
	err     error
}

func startSampler(ctx context.Context, pid int) (*sampler, error) {
	cpu, err := ReadCPU(pid)
	if err != nil {
		return nil, err
	}
	disk, err := ReadDisk(pid)
	if err != nil {
		return nil, err
	}
	s := &sampler{pid: pid, from: cpu, disk: disk, done: make(chan struct{})}
	ctx, s.cancel = context.WithCancel(ctx)
	go s.run(ctx)
	return s, nil
}

func (s *sampler) run(ctx context.Context) {
	defer close(s.done)
	tick := time.NewTicker(sampleEvery)
	defer tick.Stop()
	for {
		m, err := ReadMemory(s.pid)
		if err != nil {
			s.err = err
			return
		}
		s.samples = append(s.samples, m)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// stop ends the sampling and sums it up.
func (s *sampler) stop() (*Process, error) {
	until, err := ReadCPU(s.pid)
	s.cancel()
	<-s.done
	if err == nil {
		err = s.err
	}
	if err != nil {
		return nil, err
	}
	disk, err := ReadDisk(s.pid)
	if err != nil {
		return nil, err
	}
	p := summarize(s.samples)
	p.PID = s.pid
	p.ReadBytes, p.WriteBytes = disk.Read-s.disk.Read, disk.Written-s.disk.Written
	p.CPUSeconds = (until - s.from).Seconds()
	return p, nil
}

func summarize(samples []Memory) *Process {
	p := &Process{}
	var sum int64
	for _, m := range samples {
		sum += m.Resident
		p.ResidentPeak = max(p.ResidentPeak, m.Resident)
		p.AnonymousPeak = max(p.AnonymousPeak, m.Anonymous)
	}
	p.ResidentAverage = sum / int64(max(1, len(samples)))
	return p
}
