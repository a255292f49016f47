package faultdisk

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Clock runs functions later. Tests pass one that they move by hand.
type Clock interface {
	// AfterFunc calls f on a goroutine of its own once d has passed.
	AfterFunc(d time.Duration, f func())
}

// SystemClock is the real time.
type SystemClock struct{}

// AfterFunc implements Clock.
func (SystemClock) AfterFunc(d time.Duration, f func()) { time.AfterFunc(d, f) }

// faults holds the rules and what hangs because of them.
type faults struct {
	clock Clock

	mutex   sync.Mutex
	changed chan struct{} // closed and replaced when hanging grows
	rules   []Rule
	counts  []uint64 // matches by rule
	hanging []func() // what goes on at release
}

func newFaults(rules []Rule, clock Clock) *faults {
	return &faults{clock: clock, changed: make(chan struct{}), rules: rules, counts: make([]uint64, len(rules))}
}

// verdict is what happens to one operation. The zero value lets it through.
type verdict struct {
	holds []Action // delays and hangs, in order
	err   error
	short int // bytes that get through, if cut
	cut   bool
}

// judge counts an operation on any of names and says what happens to it.
func (f *faults) judge(operation Operation, names ...string) verdict {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	var v verdict
	for i := range f.rules {
		rule := &f.rules[i]
		matched := ""
		for _, name := range names {
			if matched == "" && rule.matches(operation, name) {
				matched = name
			}
		}
		if matched == "" {
			continue
		}
		f.counts[i]++
		if count := f.counts[i]; count < rule.First || count > rule.Last || v.err != nil || v.cut {
			continue
		}
		v.add(rule, operation, matched)
	}
	return v
}

// add applies the actions of a rule, up to the first that fails.
func (v *verdict) add(rule *Rule, operation Operation, name string) {
	for _, action := range rule.Actions {
		switch {
		case action.Error != "":
			v.err = fmt.Errorf("%s %s: injected by %s: %w", operation, name, rule, errorsByName[action.Error])
			return
		case action.Short && (operation == Read || operation == Write):
			v.cut, v.short = true, action.ShortBytes
			return
		case action.Hang || action.Delay > 0:
			v.holds = append(v.holds, action)
		}
	}
}

// hold calls next after all delays and hangs of v, at once if there are none.
func (f *faults) hold(holds []Action, next func()) {
	if len(holds) == 0 {
		next()
		return
	}
	rest := func() { f.hold(holds[1:], next) }
	if !holds[0].Hang {
		f.clock.AfterFunc(holds[0].Delay, rest)
		return
	}
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.hanging = append(f.hanging, rest)
	close(f.changed)
	f.changed = make(chan struct{})
}

// wait holds the calling goroutine back.
func (f *faults) wait(holds []Action) {
	if len(holds) == 0 {
		return
	}
	passed := make(chan struct{})
	f.hold(holds, func() { close(passed) })
	<-passed
}

// set replaces the rules; counting begins anew.
func (f *faults) set(rules []Rule) {
	f.mutex.Lock()
	defer f.mutex.Unlock()
	f.rules, f.counts = rules, make([]uint64, len(rules))
}

// releaseAll lets everything go on that hangs now.
func (f *faults) releaseAll() {
	f.mutex.Lock()
	hanging := f.hanging
	f.hanging = nil
	f.mutex.Unlock()
	for _, rest := range hanging {
		rest()
	}
}

// waitHanging returns once count operations or more hang.
func (f *faults) waitHanging(ctx context.Context, count int) error {
	for {
		f.mutex.Lock()
		hanging, changed := len(f.hanging), f.changed
		f.mutex.Unlock()
		if hanging >= count {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("wait for %d hanging operations, there are %d: %w", count, hanging, context.Cause(ctx))
		}
	}
}
