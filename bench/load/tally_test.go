package load

import (
	"math"
	"testing"
	"time"
)

func TestMergedTalliesCountAsOne(t *testing.T) {
	t.Parallel()
	total, one := newTally(), newTally()
	for i := range 1000 {
		part := newTally()
		latency := time.Duration(i+1) * time.Millisecond
		for _, into := range []*tally{part, one} {
			into.stored++
			if err := into.record(0, latency, 2, 10); err != nil {
				t.Fatal(err)
			}
		}
		total.merge(part)
	}
	got, want := total.result(2*time.Second, "SEND_OK"), one.result(2*time.Second, "SEND_OK")
	if got.Latency != want.Latency || got.Messages != want.Messages || total.last != time.Second {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	if got.MessagesPerSecond != 1000 || got.Requests != 1000 || math.Abs(got.Latency.P50-500) > 1 || math.Abs(got.Latency.P999-999) > 1 {
		t.Fatalf("%+v", got)
	}
}

func TestMergeKeepsTheFirstRemarkOfEachCode(t *testing.T) {
	t.Parallel()
	total, a, b := newTally(), newTally(), newTally()
	a.refuse(2, "first")
	a.refuse(2, "second")
	b.refuse(2, "third")
	b.refuse(14, "gone")
	total.merge(a)
	total.merge(b)
	r := total.result(time.Second, "SEND_OK")
	want := []Status{{2, "SYSTEM_BUSY", 3, "first"}, {14, "SERVICE_NOT_AVAILABLE", 1, "gone"}}
	if len(r.Statuses) != 2 || r.Statuses[0] != want[0] || r.Statuses[1] != want[1] || r.Errors != 4 {
		t.Fatalf("%+v", r.Statuses)
	}
}

func TestALatencyBeyondTheHistogramIsCountedAsItsEnd(t *testing.T) {
	t.Parallel()
	c := newTally()
	if err := c.record(0, time.Hour, 1, 1); err != nil || c.latency.TotalCount() != 1 {
		t.Fatalf("%v, %d counted", err, c.latency.TotalCount())
	}
}

func TestPerMessageNumbersDivideByMessages(t *testing.T) {
	t.Parallel()
	r := &Result{Messages: 1000}
	r.perMessage(2*time.Millisecond, &Process{CPUSeconds: 0.5})
	if r.GeneratorCPUMicros != 2 || r.Server.CPUMicrosPerMessage != 500 {
		t.Fatalf("%+v", r)
	}
}

func TestSharesAddUp(t *testing.T) {
	t.Parallel()
	for total := range 20 {
		for parts := 1; parts < 9; parts++ {
			sum := 0
			for i := range parts {
				n := share(total, parts, i)
				if n < total/parts || n > total/parts+1 {
					t.Fatalf("part %d of %d/%d is %d", i, total, parts, n)
				}
				sum += n
			}
			if sum != total {
				t.Fatalf("%d/%d: parts add up to %d", total, parts, sum)
			}
		}
	}
}
