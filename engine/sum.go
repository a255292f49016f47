package engine

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/apogeemq/apogee/engine/event"
)

// ErrPassed is returned for the sum of a state that the projections have gone on
// from.
var ErrPassed = errors.New("the projections have passed it")

// SumVersion is how sums are made. It grows when a projection writes its checkpoint
// in another way, or a part is added: sums of two versions can't be compared.
const SumVersion = 1

// LogPart is what Differing calls the log itself.
const LogPart = "log"

// Sum stands for what the projections have made of the log up to a frame. Copies
// of one log have equal sums after the same frame, however their projections came
// about: live, restored, rebuilt, or from the checkpoint of another copy.
type Sum struct {
	Index event.Index
	Chain uint32 // checksum of the frame: equal where the logs are, up to here
	// Parts are the projections.
	Parts []PartSum
}

// PartSum stands for the state of one projection.
type PartSum struct {
	Name string
	Sum  string // hexadecimal
}

// Differing names the parts that are not the same in another sum of the same frame;
// LogPart alone where the logs aren't, as what was made of them can't be then.
func (s *Sum) Differing(other *Sum) []string {
	if s.Chain != other.Chain {
		return []string{LogPart}
	}
	sums := map[string]string{}
	for _, p := range s.Parts {
		sums[p.Name] = p.Sum
	}
	var names []string
	for _, p := range other.Parts {
		if sums[p.Name] != p.Sum {
			names = append(names, p.Name)
		}
		delete(sums, p.Name)
	}
	return append(names, slices.Sorted(maps.Keys(sums))...)
}

// partSumBytes of a SHA-256 are kept.
const partSumBytes = 8

// sumRequest is a sum that somebody waits for.
type sumRequest struct {
	at      event.Index // 0: as soon as there is one
	givenUp <-chan struct{}
	answer  chan sumAnswer // has room for one
}

type sumAnswer struct {
	sum Sum
	err error
}

// Sum tells what the projections are right after a frame, 0 for the one that
// they have come to. It waits until that frame is applied, and fails with
// ErrPassed when it was before. One sum is computed at a time, on the apply
// goroutine; it takes as long as writing a checkpoint to memory.
func (e *Engine) Sum(ctx context.Context, at event.Index) (Sum, error) {
	s, err := e.awaitSum(ctx, at)
	if err != nil {
		err = fmt.Errorf("sum up the state after frame %d: %w", at, err)
	}
	return s, err
}

func (e *Engine) awaitSum(ctx context.Context, at event.Index) (Sum, error) {
	select {
	case e.summing <- struct{}{}:
		defer func() { <-e.summing }()
	case <-ctx.Done():
		return Sum{}, fmt.Errorf("others are under way: %w", ctx.Err())
	}
	r := &sumRequest{at: at, givenUp: ctx.Done(), answer: make(chan sumAnswer, 1)}
	begin := func() {
		e.wanted = r
		e.sumIfWanted()
	}
	tasks := e.tasks
	for {
		select {
		case tasks <- begin:
			tasks = nil // what is left is to wait
		case a := <-r.answer:
			return a.sum, a.err
		case <-e.stop:
			return Sum{}, ErrClosed
		case <-ctx.Done():
			return Sum{}, fmt.Errorf("it was not applied in time: %w", ctx.Err())
		}
	}
}

// SumTook is for how long the latest sum kept the engine from applying anything, by
// the log's Clock.
func (e *Engine) SumTook() time.Duration { return time.Duration(e.sumTook.Load()) }

// sumIfWanted runs on the apply goroutine, between two frames. Projections that
// are read from files may be ahead of what is applied; they have no sum until
// all are at one place.
func (e *Engine) sumIfWanted() {
	r := e.wanted
	select {
	case <-r.givenUp:
		e.wanted = nil
		return
	default:
	}
	if e.last.index < max(r.at, e.queuesAt, e.stateAt, e.waitsAt) {
		return
	}
	e.wanted = nil
	if r.at != 0 && r.at < e.last.index {
		r.answer <- sumAnswer{err: fmt.Errorf("%w: they are at frame %d", ErrPassed, e.last.index)}
		return
	}
	began := e.log.Clock()
	s, err := e.sumNow()
	e.sumTook.Store(e.log.Clock() - began)
	r.answer <- sumAnswer{s, err}
}

func (e *Engine) sumNow() (Sum, error) {
	s := Sum{Index: e.last.index, Chain: e.last.chain}
	for _, p := range e.Projections() {
		h := sha256.New()
		if err := p.Checkpoint(h); err != nil {
			return s, err
		}
		s.Parts = append(s.Parts, PartSum{Name: p.Name(), Sum: fmt.Sprintf("%x", h.Sum(nil)[:partSumBytes])})
	}
	waits := e.waits.Counts()
	s.Parts = append(s.Parts, PartSum{Name: "waiting", Sum: fmt.Sprintf("%d.%d.%016x", waits.Delayed, waits.Half, waits.Sum)})
	return s, nil
}
