package e2e

import (
	"fmt"
	"time"

	"github.com/apogeemq/apogee/bench/load"
	"github.com/apogeemq/apogee/server/access"
)

// Options of a run.
type Options struct {
	Address   string        // of the broker
	Self      access.Client // who it is to the broker
	Topic     string
	Queues    int
	Rates     []int // messages per second, one after the other
	Size      int   // bytes of a body
	Producers int   // connections that send
	Consumers int   // connections that pull
	Warmup    time.Duration
	Duration  time.Duration // measured, of each rate
	Rest      time.Duration // longest wait for messages under way after it
	PID       int           // of the broker, to measure its CPU time; 0 for none
	Group     string
	Progress  func(string)
	// Enough ends the sending before the time is over, when it is closed; nil: it
	// isn't.
	Enough <-chan struct{}
}

const (
	sizeMin  = stampBytes
	sizeMax  = 1 << 20
	rateMax  = 1_000_000
	countMax = 1 << 30
)

func (o *Options) check() error {
	switch {
	case len(o.Rates) == 0:
		return fmt.Errorf("bench e2e: no rate; name one or more messages per second")
	case o.Size < sizeMin || o.Size > sizeMax:
		return fmt.Errorf("bench e2e: size %d is not allowed; use %d to %d bytes", o.Size, sizeMin, sizeMax)
	case o.Queues < 1 || o.Producers < 1 || o.Consumers < 1 || o.Consumers > o.Queues:
		return fmt.Errorf("bench e2e: %d producers, %d consumers, %d queues are not allowed; use 1 or more of each, and no more consumers than queues",
			o.Producers, o.Consumers, o.Queues)
	case o.Duration <= 0 || o.Warmup < 0 || o.Rest < 0:
		return fmt.Errorf("bench e2e: %v after %v are not allowed; use a time above zero", o.Duration, o.Warmup)
	}
	for _, rate := range o.Rates {
		if rate < 1 || rate > rateMax {
			return fmt.Errorf("bench e2e: rate %d is not allowed; use 1 to %d messages per second", rate, rateMax)
		}
		if o.messages(rate) > countMax {
			return fmt.Errorf("bench e2e: %d messages a second for %v are more than %d", rate, o.Warmup+o.Duration, countMax)
		}
	}
	return nil
}

// messages of a run at one rate, warm-up included.
func (o *Options) messages(rate int) int {
	return int((o.Warmup + o.Duration).Seconds() * float64(rate))
}

// due is when message number of a run is due, from its start.
func due(number, rate int) time.Duration {
	return time.Duration(float64(number) * float64(time.Second) / float64(rate))
}

// String is the run in one readable line.
func (o *Options) String() string {
	return fmt.Sprintf("end to end through %s: %d queues, %d bytes, %d producers, %d consumers, %v at each rate after %v",
		o.Address, o.Queues, o.Size, o.Producers, o.Consumers, o.Duration, o.Warmup)
}

// Sample is what one rate gave. Latencies are in milliseconds.
type Sample struct {
	Rate       int           `json:"rate"` // messages a second that were due
	Due        int           `json:"due"`  // messages in the measured time
	Stored     int64         `json:"stored"`
	Delivered  int64         `json:"delivered"`
	Duplicates int64         `json:"duplicates"`
	Missing    int64         `json:"missing"` // stored, and not delivered in time
	Errors     int64         `json:"errors"`  // sends that were refused or not answered
	FirstError string        `json:"firstError,omitempty"`
	PerSecond  float64       `json:"deliveredPerSecond"`
	EndToEnd   load.Latency  `json:"endToEndMillis"`
	Send       load.Latency  `json:"sendMillis"`
	Lateness   load.Latency  `json:"latenessMillis"`
	ServerCPU  float64       `json:"serverCPUMicrosPerMessage,omitempty"`
	Took       time.Duration `json:"tookNanoseconds"` // with the wait for the rest
}

// Results of a run.
type Results struct {
	Load    string       `json:"load"`
	Machine load.Machine `json:"machine"`
	Started time.Time    `json:"started"`
	Samples []Sample     `json:"samples"`
}
