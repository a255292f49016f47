package nameserver

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Switches are what an operator may change while a nameserver runs. The
// comment of each is its key, as RocketMQ calls it.
type Switches struct {
	OrderInRoutes   bool          // orderMessageEnable: routes tell how an ordered topic is spread over brokers
	OrderToBrokers  bool          // returnOrderTopicConfigToBroker: brokers that register are told the same
	AllTopicsListed bool          // enableAllTopicList: the list of all topics is given out
	TopicsListed    bool          // enableTopicList: lists of topics by cluster and unit are given out
	ScanInterval    time.Duration // scanNotActiveBrokerInterval: time between two looks for silent brokers
}

// Bounds of Switches.ScanInterval.
const (
	MinScanInterval = 100 * time.Millisecond
	MaxScanInterval = 10 * time.Minute
)

// DefaultSwitches are RocketMQ's.
func DefaultSwitches() Switches {
	return Switches{OrderToBrokers: true, AllTopicsListed: true, TopicsListed: true, ScanInterval: 5 * time.Second}
}

// toggle is one switch by its key.
type toggle struct {
	key   string
	read  func(*Switches) string
	write func(*Switches, string) error
}

// errSwitch: the value is not one that the key may have.
var errSwitch = errors.New("not allowed")

// toggles is the list of what may be changed; nothing else may.
var toggles = []toggle{
	boolean("enableAllTopicList", func(s *Switches) *bool { return &s.AllTopicsListed }),
	boolean("enableTopicList", func(s *Switches) *bool { return &s.TopicsListed }),
	boolean("orderMessageEnable", func(s *Switches) *bool { return &s.OrderInRoutes }),
	boolean("returnOrderTopicConfigToBroker", func(s *Switches) *bool { return &s.OrderToBrokers }),
	{key: "scanNotActiveBrokerInterval",
		read: func(s *Switches) string { return strconv.FormatInt(s.ScanInterval.Milliseconds(), 10) },
		write: func(s *Switches, value string) error {
			millis, err := strconv.ParseInt(value, 10, 32)
			interval := time.Duration(millis) * time.Millisecond
			if err != nil || interval < MinScanInterval || interval > MaxScanInterval {
				return fmt.Errorf("%w: use %d to %d (milliseconds)", errSwitch, MinScanInterval.Milliseconds(), MaxScanInterval.Milliseconds())
			}
			s.ScanInterval = interval
			return nil
		}},
}

func boolean(key string, field func(*Switches) *bool) toggle {
	return toggle{key: key,
		read: func(s *Switches) string { return strconv.FormatBool(*field(s)) },
		write: func(s *Switches, value string) error {
			if value != "true" && value != "false" {
				return fmt.Errorf("%w: use true or false", errSwitch)
			}
			*field(s) = value == "true"
			return nil
		}}
}

// errFixed: the key is not one that may be changed while the nameserver runs.
var errFixed = errors.New("can't be changed while the nameserver runs")

// panel holds the switches of a running nameserver.
type panel struct {
	current atomic.Pointer[Switches]
	mu      sync.Mutex // held by whoever changes current
}

// change takes lines of the form key=value, all of them or none.
func (p *panel) change(properties string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := *p.current.Load()
	for line := range strings.Lines(properties) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		key, value, _ := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		i := slices.IndexFunc(toggles, func(t toggle) bool { return t.key == key })
		if i < 0 {
			return fmt.Errorf("%.64q %w; only these can: %s", key, errFixed, strings.Join(switchKeys(), ", "))
		}
		if err := toggles[i].write(&next, value); err != nil {
			return fmt.Errorf("%s=%.64s is %w", key, value, err)
		}
	}
	p.current.Store(&next)
	return nil
}

// describe lists the fixed configuration and the switches as they are now,
// one key on each line, sorted.
func (p *panel) describe(fixed string) string {
	var lines []string
	for line := range strings.Lines(fixed) {
		key, _, _ := strings.Cut(line, "=")
		if line = strings.TrimSpace(line); line != "" && !slices.Contains(switchKeys(), strings.TrimSpace(key)) {
			lines = append(lines, line)
		}
	}
	now := p.current.Load()
	for _, t := range toggles {
		lines = append(lines, t.key+"="+t.read(now))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n"
}

func switchKeys() []string {
	var keys []string
	for _, t := range toggles {
		keys = append(keys, t.key)
	}
	return keys
}
