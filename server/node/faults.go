package node

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/disk/faultdisk"
	"github.com/apogeemq/apogee/engine/disk/volatile"
)

// faultsVariable is the environment variable by which fault runs make a process
// one that can be broken from outside. No configuration file can: it is no
// setting, and nobody sets it by accident.
//
//	on           rules for the disk and a shift of the clock, on the operators' port
//	volatile:7   besides, the log is on a disk that forgets with the process what
//	             was not synced; 7 is its seed
const faultsVariable = "APOGEE_FAULTS"

// faultRulesMax bounds the body of a request for faults.
const faultRulesMax = 64 << 10

// faults is what a fault run may do to a process. nil does nothing.
type faults struct {
	volatile bool
	seed     uint64
	detours  map[string]string // what is dialed instead of an address
	shift    atomic.Int64      // of the clock, in nanoseconds

	mu    sync.Mutex
	disks []*faultdisk.Disk // of the logs that are open
}

// openFaults reads the value of faultsVariable.
func openFaults(value string) (*faults, error) {
	switch seed, isVolatile := strings.CutPrefix(value, "volatile:"); {
	case value == "":
		return nil, nil
	case value == "on":
		return withDetours(&faults{})
	case isVolatile:
		n, err := strconv.ParseUint(seed, 10, 64)
		if err == nil {
			return withDetours(&faults{volatile: true, seed: n})
		}
	}
	return nil, fmt.Errorf("%s=%s is not allowed: use on or volatile:SEED, and neither outside of tests", faultsVariable, value)
}

// over puts the faults over the disk of a log.
func (f *faults) over(d disk.Disk) (disk.Disk, error) {
	if f == nil {
		return d, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.volatile {
		var err error
		if d, err = volatile.New(d, f.seed+uint64(len(f.disks))); err != nil {
			return nil, err
		}
	}
	broken := faultdisk.New(d, nil, faultdisk.SystemClock{})
	f.disks = append(f.disks, broken)
	return broken, nil
}

// now is the time that the process goes by.
func (f *faults) now() time.Time {
	if f == nil {
		return time.Now()
	}
	return time.Now().Add(time.Duration(f.shift.Load()))
}

func (f *faults) nowMillis() int64 { return f.now().UnixMilli() }

// register adds the faults to the operators' port.
func (f *faults) register(mux *http.ServeMux) {
	if f == nil {
		return
	}
	mux.HandleFunc("PUT /debug/faults/disk", f.breakDisk)
	mux.HandleFunc("PUT /debug/faults/clock", f.shiftClock)
}

// breakDisk takes the rules of the disks. What hung by older rules goes on.
func (f *faults) breakDisk(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, faultRulesMax))
	var rules []faultdisk.Rule
	if err == nil {
		rules, err = faultdisk.Parse(string(text))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case err != nil:
		http.Error(w, err.Error(), http.StatusBadRequest)
	case len(f.disks) == 0:
		http.Error(w, "the log is not open yet", http.StatusConflict)
	default:
		for _, d := range f.disks {
			d.Set(rules)
			d.Release()
		}
	}
}

// shiftClock takes how far the clock is ahead.
func (f *faults) shiftClock(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, faultRulesMax))
	var by time.Duration
	if err == nil {
		by, err = time.ParseDuration(string(text))
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f.shift.Store(int64(by))
}
