package log

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/apogeemq/apogee/engine/disk"
)

// engines that work here: io_uring may be forbidden.
func engines(t testing.TB) []string {
	t.Helper()
	if _, err := openDisk(t.TempDir(), ring); err != nil {
		return []string{posix}
	}
	return []string{ring, posix}
}

func short(t testing.TB) Options {
	return Options{
		Dir: t.TempDir(), Sizes: []int{256, 5000}, Depths: []int{1, 8}, Modes: []string{"sync", "async"}, Engines: engines(t),
		Rounds: 2, Warmup: time.Millisecond, Duration: 30 * time.Millisecond, SegmentBytes: 16 << 20, Segments: ready, FloorBytes: floorBytesMin,
	}
}

func TestARunMeasuresEveryContenderInEveryCellAndRound(t *testing.T) {
	t.Parallel()
	o := short(t)
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range o.cells() {
		for round := range o.Rounds {
			for _, contender := range o.contenders(c, 0) {
				s := r.of(c, contender, round)
				if s == nil {
					t.Fatalf("%+v, round %d: no sample of %s", c, round, contender)
				}
				checkSample(t, s)
			}
		}
	}
	checkOperations(t, r)
	if d := r.of(Cell{}, device, 1); d == nil || d.BytesPerSecond <= 0 {
		t.Errorf("device: %+v", d)
	}
	perEngine := 8*2 + 4 // group and device in each cell, raw at depth 1
	if len(r.Ratios) != perEngine*len(o.Engines) {
		t.Errorf("%d ratios, want %d", len(r.Ratios), perEngine*len(o.Engines))
	}
	if left, err := os.ReadDir(o.Dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	var out bytes.Buffer
	if err := r.Print(&out); err != nil || strings.Count(out.String(), "\n") < 16+len(r.Ratios) {
		t.Errorf("%v\n%s", err, out.String())
	}
}

func checkSample(t *testing.T, s *Sample) {
	t.Helper()
	if s.Messages <= 0 || s.BytesPerSecond <= 0 || s.CPUMicros <= 0 || s.Latency.P50 <= 0 || s.Latency.P50 > s.Latency.P99 || s.Latency.P99 > s.Latency.P999 {
		t.Errorf("sample %+v", s)
	}
	if s.Contender == group && s.Mode == Async && s.Operations.Syncs != 0 {
		t.Errorf("group in %+v: %d syncs", s.Cell, s.Operations.Syncs)
	}
	if s.Contender == raw && s.Mode == Sync && s.Operations.Syncs < s.Messages-1 {
		t.Errorf("raw: %d syncs for %d messages", s.Operations.Syncs, s.Messages)
	}
}

// checkOperations looks at all samples together: in a short one the only write
// may have begun before it.
func checkOperations(t *testing.T, r *Results) {
	t.Helper()
	writes, syncs := map[string]int64{}, map[string]int64{}
	for _, s := range r.Samples {
		writes[s.Contender] += s.Operations.Writes
		syncs[s.Contender] += s.Operations.Syncs
	}
	for contender, n := range writes {
		if contender != device && (n == 0 || syncs[contender] == 0) {
			t.Errorf("%s: %d writes, %d syncs", contender, n, syncs[contender])
		}
	}
}

func TestTheOrderOfContendersTurnsWithTheRound(t *testing.T) {
	t.Parallel()
	o := Options{Engines: []string{ring, posix}}
	c := Cell{Depth: 1}
	if got := strings.Join(o.contenders(c, 0), " "); got != "io_uring posix group raw" {
		t.Error(got)
	}
	if got := strings.Join(o.contenders(c, 5), " "); got != "posix group raw io_uring" {
		t.Error(got)
	}
}

func TestRatiosAreTakenWithinRounds(t *testing.T) {
	t.Parallel()
	c := Cell{Size: 10, Depth: 1, Mode: Sync}
	r := &Results{Cells: []Cell{c}}
	// The machine slows down tenfold in the second round: each pair still says 0.5.
	for round, speed := range []float64{1000, 100, 900} {
		r.Samples = append(r.Samples,
			Sample{Cell: c, Contender: posix, Round: round, MessagesPerSecond: speed / 2, BytesPerSecond: 5 * speed, CPUMicros: 2, Latency: Latency{P50: 2, P99: 6}},
			Sample{Cell: c, Contender: group, Round: round, MessagesPerSecond: speed, CPUMicros: 1, Latency: Latency{P50: 1, P99: 2}},
			Sample{Contender: device, Round: round, BytesPerSecond: 50 * speed})
	}
	got := r.ratios()
	want := []Ratio{
		{Cell: c, Contender: posix, Floor: group, Rate: 0.5, P50: 2, P99: 3, CPU: 2, Rounds: 3},
		{Cell: c, Contender: posix, Floor: device, Rate: 0.1, Rounds: 3},
	}
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("ratios %+v, want %+v", got, want)
	}
}

func TestThePlotIsWellFormedAndHasADotPerSample(t *testing.T) {
	t.Parallel()
	r := &Results{}
	for _, depth := range []int{1, 64} {
		for _, mode := range []Mode{Sync, Async} {
			c := Cell{Size: 1024, Depth: depth, Mode: mode}
			r.Cells = append(r.Cells, c)
			for _, contender := range []string{ring, group} {
				r.Samples = append(r.Samples, Sample{Cell: c, Contender: contender, MessagesPerSecond: float64(depth) * 900, Latency: Latency{P99: 0.3 * float64(depth)}})
			}
		}
	}
	var out bytes.Buffer
	if err := r.Plot(&out); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "<circle"); n != 8 {
		t.Errorf("%d dots, want 8", n)
	}
	if strings.Contains(out.String(), "NaN") || strings.Contains(out.String(), "Inf") {
		t.Error("a place is not a number")
	}
	d := xml.NewDecoder(&out)
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestWrongOptionsAreRefused(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(*Options){
		"size": func(o *Options) { o.Sizes = []int{0} }, "depth": func(o *Options) { o.Depths = []int{100_000} },
		"mode": func(o *Options) { o.Modes = []string{"fast"} }, "engine": func(o *Options) { o.Engines = []string{"mmap"} },
		"rounds": func(o *Options) { o.Rounds = 0 }, "floor": func(o *Options) { o.FloorBytes = 1 << 20 }, "none": func(o *Options) { o.Sizes = nil },
	} {
		o := short(t)
		change(&o)
		if _, err := Run(t.Context(), o); err == nil {
			t.Errorf("%s: accepted", what)
		}
	}
}

func TestTheCommandPrintsJSONAndWritesThePlot(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := Command()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(io.Discard)
	plot := filepath.Join(dir, "plot.svg")
	cmd.SetArgs([]string{"--dir", filepath.Join(dir, "data"), "--sizes", "256", "--depths", "1", "--modes", "async", "--engines", "posix",
		"--rounds", "1", "--warmup", "1ms", "--duration", "20ms", "--floor-bytes", "33554432", "--segment-bytes", "16777216", "--json", "--svg", plot})
	if err := cmd.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	var r Results
	if err := json.Unmarshal(out.Bytes(), &r); err != nil || len(r.Samples) != 4 {
		t.Errorf("%v: %s", err, out.String())
	}
	if svg, err := os.ReadFile(plot); err != nil || !bytes.HasPrefix(svg, []byte("<svg ")) {
		t.Errorf("plot: %v", err)
	}
}

func TestTheCountingDiskSeesEveryOperation(t *testing.T) {
	t.Parallel()
	inner, err := disk.OpenPosix(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var n counter
	d := countingDisk{inner, &n, nil}
	f, err := d.Open("file", disk.Create)
	if err != nil {
		t.Fatal(err)
	}
	q, err := d.OpenQueue(4, nil)
	if err != nil {
		t.Fatal(err)
	}
	q.Write(f, make([]byte, 512), 0, 1)
	q.WriteDurable(f, make([]byte, 100), 512, 2)
	q.SyncData(f, 3)
	var done [4]disk.Completion
	if got, err := q.Wait(done[:]); got != 3 || err != nil {
		t.Fatalf("%d completions, %v", got, err)
	}
	q.Wake()
	if _, err := f.WriteAt(make([]byte, 7), 0); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Sync(), q.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	want := Operations{Writes: 2, WriteBytes: 612, Syncs: 1, Waits: 1, Wakes: 1, FillWrites: 1, FillBytes: 7, FillSyncs: 1}
	if got := n.read(); got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
}
