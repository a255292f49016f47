package baseline

import (
	"math"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/apogeemq/apogee/bench/load"
)

func loaded(rate, p999, cpu float64) Sample {
	return Sample{Load: &load.Result{
		MessagesPerSecond: rate, Latency: load.Latency{P50: 1.5, P99: 4, P999: p999},
		Server: &load.Process{CPUMicrosPerMessage: cpu, ResidentPeak: 50e6},
	}}
}

// example has two rounds; in the second the machine had half the speed.
func example() *Results {
	return &Results{
		Started:  time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC),
		Machine:  load.Machine{Cores: 2, System: "linux/amd64 6.18", Memory: "24 GB", Go: "go1.26"},
		Software: []string{"Apache RocketMQ"}, Settings: []string{"Side by side."}, Commands: []string{"apogee bench send"},
		Servers: []string{RocketMQ, Floor, Apogee},
		Rounds: []Round{
			{
				"sync64": {RocketMQ: loaded(10_000, 40, 80), Floor: loaded(50_000, 3, 8), Apogee: loaded(40_000, 10, 12)},
				"start":  {Apogee: {Start: &Start{Seconds: 0.25, IdleBytes: 90e6}}},
			},
			{
				"sync64": {RocketMQ: loaded(5_000, 80, 160), Floor: loaded(20_000, 6, 16), Apogee: loaded(18_000, 40, 40)},
				"start":  {Apogee: {Start: &Start{Seconds: 0.25, IdleBytes: 90e6}}},
			},
		},
	}
}

func TestTheRenderedTableIsAsStored(t *testing.T) {
	t.Parallel()
	want, err := os.ReadFile("testdata/table.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), Render(example())); diff != "" {
		t.Fatalf("- stored, + rendered\n%s", diff)
	}
}

func TestRatiosAreTakenWithinARound(t *testing.T) {
	t.Parallel()
	r := example()
	got := r.ratio(subject{"sync64", Apogee, Rate}, subject{"sync64", Floor, Rate})
	if math.Abs(got.Median-0.85) > 1e-9 || got.Min != 0.8 || got.Max != 0.9 || got.Count != 2 {
		t.Errorf("%+v", got)
	}
	if got := r.ratio(subject{"sync64", Apogee, Rate}, subject{"async64", Apogee, Rate}); got.Count != 0 {
		t.Errorf("ratio to a row that was not measured: %+v", got)
	}
	if got := r.ratio(subject{"sync64", Apogee, Rate}, subject{"sync64", Apogee, Errors}); got.Count != 0 {
		t.Errorf("ratio to zero: %+v", got)
	}
}

func TestSpreadHasTheMedian(t *testing.T) {
	t.Parallel()
	if got := spread([]float64{9, 1, 2}); got != (Spread{2, 1, 9, 3}) {
		t.Errorf("%+v", got)
	}
	if got := spread([]float64{9, 1, 2, 4}); got != (Spread{3, 1, 9, 4}) {
		t.Errorf("%+v", got)
	}
	if got := spread(nil); got.String() != "–" {
		t.Errorf("%s", got)
	}
}

func TestNumbersHaveThreeDigits(t *testing.T) {
	t.Parallel()
	for v, want := range map[float64]string{
		0: "0", 3: "3", 0.1234: "0.12", 0.85: "0.85", 1.234: "1.23", 12.345: "12.3", 123.45: "123", 999: "999",
		1234.5: "1,234", 28122: "28,122", 2864848: "2,864,848", -1234567: "-1,234,567",
	} {
		if got := number(v); got != want {
			t.Errorf("%v: %s, want %s", v, got, want)
		}
	}
}

func TestGoalsAreMetAtTheirLimit(t *testing.T) {
	t.Parallel()
	atLeast, atMost := goal{limit: 2}, goal{limit: 2, atMost: true}
	for _, c := range []struct {
		median      float64
		least, most bool
	}{{1.9, false, true}, {2, true, true}, {2.1, true, false}} {
		s := Spread{Median: c.median, Count: 1}
		if atLeast.met(s) != c.least || atMost.met(s) != c.most {
			t.Errorf("%v: at least %v, at most %v", c.median, atLeast.met(s), atMost.met(s))
		}
	}
}

func TestEveryRowHasAGoal(t *testing.T) {
	t.Parallel()
	has := map[string]bool{}
	for _, g := range goals {
		has[g.of.row] = true
		if g.isRatio() {
			has[g.against.row] = true
		}
	}
	for _, r := range rows {
		if !has[r.name] {
			t.Errorf("row %s is in no goal", r.name)
		}
	}
}
