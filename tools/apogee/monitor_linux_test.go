package main

import (
	"context"
	"runtime"
	"testing"
	"time"
)

// TestATakenProcessorHoldsUpNothing: neither collections, for which all
// processors have to stop, nor its own end.
func TestATakenProcessorHoldsUpNothing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		takeProcessor(ctx, time.Hour)
	}()
	begin := time.Now()
	const collections = 50
	for range collections {
		runtime.GC()
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("%d collections took %v", collections, took)
	}
	cancel()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Error("the processor is still taken")
	}
}

func TestProcessorTimeGoesOnWithWork(t *testing.T) {
	t.Parallel()
	before := processorTime()
	for deadline := time.Now().Add(10 * time.Second); processorTime() < before+20*time.Millisecond; {
		if time.Now().After(deadline) {
			t.Fatalf("%v of CPU time before, %v after ten seconds of work", before, processorTime())
		}
	}
}
