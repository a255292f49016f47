package faultdisk

import (
	"fmt"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Operation is a kind of call that rules can match.
type Operation string

// The operations by the names that rules use.
const (
	Open     Operation = "open"
	List     Operation = "list"
	MakeDir  Operation = "mkdir"
	Rename   Operation = "rename"
	Remove   Operation = "remove"
	SyncDir  Operation = "syncdir"
	Free     Operation = "free"
	Lock     Operation = "lock"
	Read     Operation = "read"
	Write    Operation = "write"
	Sync     Operation = "sync"
	Allocate Operation = "allocate"
	Truncate Operation = "truncate"
	Size     Operation = "size"
)

var operations = []Operation{Open, List, MakeDir, Rename, Remove, SyncDir, Free, Lock, Read, Write, Sync,
	Allocate, Truncate, Size}

// Rule breaks some operations. The zero Rule matches nothing.
type Rule struct {
	// Operations that match; empty for all.
	Operations []Operation
	// Paths is the pattern that a name must match.
	Paths string
	// First and Last bound the matches that are broken, counted from 1. Last is
	// math.MaxUint64 when there is no end.
	First, Last uint64
	// Actions are done in order.
	Actions []Action
}

// Action is one thing that happens to an operation: exactly one field is set.
type Action struct {
	// Error is the name of an error in errorsByName.
	Error string
	// Delay is how long the operation is held back.
	Delay time.Duration
	// Hang holds the operation back until Release.
	Hang bool
	// Short is set for a short transfer, of ShortBytes.
	Short bool
	// ShortBytes is how much of a short transfer gets through.
	ShortBytes int
}

const (
	textBytesMax = 64 << 10
	rulesMax     = 1000
	actionsMax   = 16
)

// Parse reads rules. The error names the rule and what is allowed.
func Parse(text string) ([]Rule, error) {
	if len(text) > textBytesMax {
		return nil, fmt.Errorf("fault rules have %d bytes; %d are allowed", len(text), textBytesMax)
	}
	var rules []Rule
	for number, line := range strings.Split(text, "\n") {
		line, _, _ = strings.Cut(line, "#")
		for _, part := range strings.Split(line, ";") {
			if part = strings.TrimSpace(part); part == "" {
				continue
			}
			rule, err := parseRule(part)
			if err != nil {
				return nil, fmt.Errorf("fault rule %q in line %d: %w", part, number+1, err)
			}
			if rules = append(rules, rule); len(rules) > rulesMax {
				return nil, fmt.Errorf("more than %d fault rules", rulesMax)
			}
		}
	}
	return rules, nil
}

func parseRule(text string) (r Rule, err error) {
	parts := strings.SplitN(text, ":", 3)
	if len(parts) != 3 {
		return Rule{}, fmt.Errorf("want operations:paths:count=actions, as in sync:*.log:3=EIO")
	}
	count, actions, found := strings.Cut(parts[2], "=")
	if !found {
		return Rule{}, fmt.Errorf("no = with an action after the count %q", parts[2])
	}
	if r.Operations, err = parseOperations(strings.TrimSpace(parts[0])); err != nil {
		return Rule{}, err
	}
	r.Paths = strings.TrimSpace(parts[1])
	if _, err := path.Match(r.Paths, ""); err != nil || r.Paths == "" {
		return Rule{}, fmt.Errorf("pattern %q: want a file name or a pattern with *, ? and [a-z]", r.Paths)
	}
	if r.First, r.Last, err = parseCount(strings.TrimSpace(count)); err != nil {
		return Rule{}, err
	}
	if r.Actions, err = parseActions(actions); err != nil {
		return Rule{}, err
	}
	return r, r.check()
}

// check refuses what could never happen.
func (r *Rule) check() error {
	for i, action := range r.Actions {
		ends := action.Short || action.Error != ""
		if ends && i+1 < len(r.Actions) {
			return fmt.Errorf("action %v can't happen after %v, which ends the operation", r.Actions[i+1], action)
		}
		transfers := len(r.Operations) == 0 || slices.Contains(r.Operations, Read) || slices.Contains(r.Operations, Write)
		if action.Short && !transfers {
			return fmt.Errorf("action %v: only a read or a write can be short", action)
		}
	}
	return nil
}

func parseOperations(text string) ([]Operation, error) {
	if text == "*" {
		return nil, nil
	}
	var list []Operation
	for _, name := range strings.Split(text, "|") {
		operation := Operation(strings.TrimSpace(name))
		if !slices.Contains(operations, operation) {
			return nil, fmt.Errorf("operation %q: want * or some of %v joined by |", name, operations)
		}
		if !slices.Contains(list, operation) {
			list = append(list, operation)
		}
	}
	return list, nil
}

func parseCount(text string) (first, last uint64, err error) {
	if text == "*" {
		return 1, math.MaxUint64, nil
	}
	from, to, isRange := strings.Cut(text, "..")
	first, err = strconv.ParseUint(from, 10, 64)
	switch {
	case err != nil:
	case !isRange:
		last = first
	case to == "":
		last = math.MaxUint64
	default:
		last, err = strconv.ParseUint(to, 10, 64)
	}
	if err != nil || first == 0 || last < first {
		return 0, 0, fmt.Errorf("count %q: want *, 3, 3.. or 3..5, counted from 1", text)
	}
	return first, last, nil
}

func parseActions(text string) ([]Action, error) {
	var list []Action
	for _, part := range strings.Split(text, "+") {
		action, err := parseAction(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		if list = append(list, action); len(list) > actionsMax {
			return nil, fmt.Errorf("more than %d actions", actionsMax)
		}
	}
	return list, nil
}

func parseAction(text string) (Action, error) {
	name, argument, called := strings.Cut(text, "(")
	argument, closed := strings.CutSuffix(argument, ")")
	switch {
	case called && !closed:
	case name == "hang" && !called:
		return Action{Hang: true}, nil
	case name == "delay" && called:
		delay, err := time.ParseDuration(argument)
		if err != nil || delay <= 0 {
			return Action{}, fmt.Errorf("delay %q: want a time above zero, as in delay(20ms)", argument)
		}
		return Action{Delay: delay}, nil
	case name == "short" && called:
		length, err := strconv.ParseUint(argument, 10, 31)
		if err != nil {
			return Action{}, fmt.Errorf("short %q: want a number of bytes, as in short(512)", argument)
		}
		return Action{Short: true, ShortBytes: int(length)}, nil
	case errorsByName[name] != nil && !called:
		return Action{Error: name}, nil
	}
	return Action{}, fmt.Errorf("action %q: want delay(20ms), short(512), hang or one of %s", text, errorNames())
}

// String returns the rule as Parse reads it.
func (r Rule) String() string {
	names := make([]string, 0, len(r.Operations))
	for _, operation := range r.Operations {
		names = append(names, string(operation))
	}
	if len(names) == 0 {
		names = append(names, "*")
	}
	count := "*"
	switch {
	case r.First == r.Last:
		count = fmt.Sprint(r.First)
	case r.Last != math.MaxUint64:
		count = fmt.Sprintf("%d..%d", r.First, r.Last)
	case r.First != 1:
		count = fmt.Sprintf("%d..", r.First)
	}
	actions := make([]string, 0, len(r.Actions))
	for _, action := range r.Actions {
		actions = append(actions, action.String())
	}
	return fmt.Sprintf("%s:%s:%s=%s", strings.Join(names, "|"), r.Paths, count, strings.Join(actions, "+"))
}

// String returns the action as Parse reads it.
func (a Action) String() string {
	switch {
	case a.Hang:
		return "hang"
	case a.Short:
		return fmt.Sprintf("short(%d)", a.ShortBytes)
	case a.Delay > 0:
		return fmt.Sprintf("delay(%v)", a.Delay)
	}
	return a.Error
}

// matches reports whether the rule is about an operation on name.
func (r *Rule) matches(operation Operation, name string) bool {
	if len(r.Operations) > 0 && !slices.Contains(r.Operations, operation) {
		return false
	}
	if !strings.Contains(r.Paths, "/") {
		name = path.Base(name)
	}
	matched, err := path.Match(r.Paths, name)
	return matched && err == nil
}
