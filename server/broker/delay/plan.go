package delay

import (
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/apogeemq/apogee/server/broker/record"
)

// Topics that messages wait in.
const (
	LevelTopic = "SCHEDULE_TOPIC_XXXX"
	TimerTopic = "rmq_sys_wheel_timer"
)

// Rules are what a broker is configured to.
type Rules struct {
	Levels  Levels
	Longest time.Duration // timerMaxDelaySec: times further ahead are refused
}

// Plan is how a message waits. The zero Plan is a message that doesn't.
type Plan struct {
	Topic string // that it waits in
	Queue uint32
	Due   int64 // Unix milliseconds
}

// Waits reports whether the message waits at all.
func (p Plan) Waits() bool { return p.Topic != "" }

// Timed reports whether the message waits for a time and not by a level. Such
// a message can be recalled.
func (p Plan) Timed() bool { return p.Topic == TimerTopic }

// Plan decides about a message that is stored at now, Unix milliseconds. An
// error wraps ErrNotAllowed.
func (r *Rules) Plan(known *record.Known, now int64) (Plan, error) {
	if known.DelayLevel == nil && !known.Timed() {
		return Plan{}, nil
	}
	if len(known.DelayLevel) > 0 {
		level, err := strconv.Atoi(string(known.DelayLevel))
		if err != nil {
			return Plan{}, fmt.Errorf("%w: DELAY is %.20q, which is not a number", ErrNotAllowed, known.DelayLevel)
		}
		if level > 0 {
			return r.Level(level, now), nil
		}
	}
	if !known.Timed() || known.TimerOut != nil {
		return Plan{}, nil
	}
	if known.TimerDelete != nil {
		return Plan{}, fmt.Errorf("%w: delete markers (TIMER_DEL_UNIQKEY) are not supported; recall the message by its handle", ErrNotAllowed)
	}
	wait, err := waitOf(known, now)
	if err != nil || wait <= 0 {
		return Plan{}, err
	}
	if wait > r.Longest.Milliseconds() {
		return Plan{}, fmt.Errorf("%w: the message is due in %d s, at most %d are allowed (timerMaxDelaySec)",
			ErrNotAllowed, wait/1000, int64(r.Longest/time.Second))
	}
	return Plan{Topic: TimerTopic, Due: now + wait}, nil
}

// PlanCommitted decides about a half message that is committed at now. Its
// delay begins only then. It was allowed when the message was sent, so it is
// kept however long it is by now.
func (r *Rules) PlanCommitted(known *record.Known, now int64) (Plan, error) {
	lenient := Rules{Levels: r.Levels, Longest: math.MaxInt64}
	return lenient.Plan(known, now)
}

// Level is the plan of a message with a delay level of 1 or more.
func (r *Rules) Level(level int, now int64) Plan {
	level, wait := r.Levels.Of(level)
	return Plan{Topic: LevelTopic, Queue: uint32(level - 1), Due: now + wait.Milliseconds()}
}

// waitOf is the time from now in milliseconds; 0 or less is the past. What is
// too large for a number of milliseconds is as large as can be.
func waitOf(known *record.Known, now int64) (int64, error) {
	name, text, unit, from := "TIMER_DELIVER_MS", known.DeliverMillis, int64(1), now
	switch {
	case known.DelaySeconds != nil:
		name, text, unit, from = "TIMER_DELAY_SEC", known.DelaySeconds, 1000, 0
	case known.DelayMillis != nil:
		name, text, from = "TIMER_DELAY_MS", known.DelayMillis, 0
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%w: %s is %.20q, which is not a number", ErrNotAllowed, name, text)
	}
	const most = 1 << 52 // far from overflowing, with any unit and any now
	return max(min(n, most), -most)*unit - from, nil
}
