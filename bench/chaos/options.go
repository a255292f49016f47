package chaos

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/apogeemq/apogee/bench/chaos/cluster"
)

// Options describe a run.
type Options struct {
	Seed     uint64
	Duration time.Duration // of load and faults
	Count    uint32        // of faults; 0: as many as the duration has room for
	Topology string
	Flush    string   // flushDiskType; empty: the seed chooses
	Kinds    []string // of faults; empty for all that the topology allows
	Rate     int      // messages per second of each kind of producer
	Settings []string // key=value for all nodes
	GapMax   time.Duration
	Binary   string // apogee
	Dir      string // an empty folder is made below
	Keep     bool   // keeps data and logs of a good run as well
	Port     int    // first port; 0 finds free ones
	Out      io.Writer
}

const (
	syncFlush  = "SYNC_FLUSH"
	asyncFlush = "ASYNC_FLUSH"
)

// check fills in what the seed chooses and refuses what makes no sense.
func (o *Options) check() (cluster.Topology, []kind, error) {
	t, err := cluster.TopologyNamed(o.Topology)
	if err != nil {
		return t, nil, err
	}
	if o.Flush == "" {
		o.Flush = syncFlush
		if draws(o.Seed, drawFlush).IntN(4) == 0 {
			o.Flush = asyncFlush
		}
	}
	switch {
	case o.Flush != syncFlush && o.Flush != asyncFlush:
		return t, nil, fmt.Errorf("flush %q is not allowed: use %s or %s", o.Flush, syncFlush, asyncFlush)
	case o.Duration <= 0:
		return t, nil, fmt.Errorf("a duration of %v is not allowed: use a time above zero", o.Duration)
	case o.Rate < 1:
		return t, nil, fmt.Errorf("a rate of %d is not allowed: use 1 or more", o.Rate)
	}
	allowed, err := o.allowed(t)
	return t, allowed, err
}

// lasts is how long load and faults may go on.
func (o *Options) lasts() time.Duration { return o.Duration + time.Duration(o.Count)*faultTime }

// faultTime is what a fault may take on the average where they are counted.
const faultTime = time.Minute

// allowed are the kinds of faults of the run.
func (o *Options) allowed(t cluster.Topology) ([]kind, error) {
	var allowed []kind
	var names []string
	for _, k := range kinds {
		if k.nodes <= t.Nodes && (k.only == "" || k.only == t.Name) {
			names = append(names, k.name)
			if len(o.Kinds) == 0 || slices.Contains(o.Kinds, k.name) {
				allowed = append(allowed, k)
			}
		}
	}
	for _, name := range o.Kinds {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("fault %q is not allowed with topology %s: use some of %s", name, t.Name, strings.Join(names, ", "))
		}
	}
	return allowed, nil
}

// repeat is the command that does the same again.
func (o *Options) repeat() string {
	text := fmt.Sprintf("apogee-chaos run --seed %d --duration %v --topology %s --flush %s --rate %d", o.Seed, o.Duration, o.Topology, o.Flush, o.Rate)
	if len(o.Kinds) > 0 {
		text += " --faults " + strings.Join(o.Kinds, ",")
	}
	if o.Count > 0 {
		text += fmt.Sprintf(" --count %d", o.Count)
	}
	for _, pair := range o.Settings {
		text += " --set " + pair
	}
	return text
}
