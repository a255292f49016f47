package load

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Kind is what a load sends.
type Kind uint8

// The kinds of messages.
const (
	Plain         Kind = iota
	Delayed            // they wait for their time
	Transactional      // half messages; each is committed when its send is answered
)

var kindNames = [...]string{Plain: "plain", Delayed: "delayed", Transactional: "transactional"}

// ParseKind reads the name used on the command line.
func ParseKind(name string) (Kind, error) {
	for kind, known := range kindNames {
		if name == known {
			return Kind(kind), nil
		}
	}
	return 0, fmt.Errorf("parse kind %q: allowed are plain, delayed and transactional", name)
}

func (k Kind) String() string { return kindNames[k] }

// Delay is how long the messages of a delayed load wait: by a level, or until a
// time.
type Delay struct {
	Level  int           // DELAY; 0 for a time
	After  time.Duration // due so long after each is sent
	Spread time.Duration // and up to so much later, at random
	At     time.Time     // if not zero: all are due then
}

const delaySpan = 10 * 365 * 24 * time.Hour

func (d *Delay) check() error {
	timed := d.After > 0 || !d.At.IsZero()
	switch {
	case d.Level < 0 || d.After < 0 || d.Spread < 0 || d.After > delaySpan || d.Spread > delaySpan:
		return errors.New("run load: a delay below zero, or of more than ten years")
	case d.Level > 0 == timed:
		return errors.New("run load: delayed messages need a delay level, or a time that they are due at, and not both")
	}
	return nil
}

func (d *Delay) String() string {
	switch {
	case d.Level > 0:
		return fmt.Sprintf("delay level %d", d.Level)
	case !d.At.IsZero():
		return "due at one time"
	case d.Spread > 0:
		return fmt.Sprintf("due after %v to %v", d.After, d.After+d.Spread)
	}
	return fmt.Sprintf("due after %v", d.After)
}

// duePlaceholder stands where the time goes: 13 digits of ms.
const duePlaceholder = "2222222222222"

func property(name, value string) string { return name + propertyMid + value + propertyEnd }

// properties is the property string of every message of a load.
func (o *SendOptions) properties() string {
	switch {
	case o.Kind == Transactional:
		return properties + property("TRAN_MSG", "true") + property("PGROUP", o.Producers)
	case o.Kind == Delayed && o.Delay.Level > 0:
		return properties + property("DELAY", strconv.Itoa(o.Delay.Level))
	case o.Kind == Delayed:
		return properties + property("TIMER_DELIVER_MS", duePlaceholder)
	}
	return properties
}

// systemFlag is the send's: 4 says that the message is prepared.
func (o *SendOptions) systemFlag() string {
	if o.Kind == Transactional {
		return "4"
	}
	return "0"
}

// checkKind refuses what a kind can't be sent as.
func (o *SendOptions) checkKind() error {
	if o.Kind == Plain {
		return nil
	}
	if o.Batch != 1 || o.Topics != 1 {
		return fmt.Errorf("run load: %v messages go to one topic, and not in batches", o.Kind)
	}
	if o.Kind == Delayed {
		return o.Delay.check()
	}
	return nil
}

// describe is the kind in a readable line, "" for plain messages.
func (o *SendOptions) describe() string {
	switch o.Kind {
	case Transactional:
		return ", transactions that are committed"
	case Delayed:
		return ", " + o.Delay.String()
	}
	return ""
}
