package chaos

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/apogeemq/apogee/bench/check"
)

// pacedHistory records what a Java producer tells.
func pacedHistory(t *testing.T, lines string) (list []check.Event, told error) {
	t.Helper()
	var text bytes.Buffer
	r := check.NewRecorder(&text, func() time.Duration { return 0 })
	tr := newTraffic(r, nil, []*brokerSite{{name: "b0"}, {name: "b1", number: 1}}, 1)
	p := paced{traffic: tr, warm: (&source{traffic: tr, name: "w"}).writer(3, false), measured: (&source{traffic: tr, name: "m"}).writer(3, false)}
	told = p.listen(strings.NewReader(lines))
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	open := check.Open(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text.Bytes())), nil })
	err := open.Each(func(e *check.Event) error {
		if e.Kind != check.WriterBegan {
			list = append(list, *e)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list, told
}

func TestWhatTheJavaProducerTellsBecomesEvents(t *testing.T) {
	t.Parallel()
	list, err := pacedHistory(t, "B 1 0\nE 1 0 SEND_OK b1 2 7 7F00000100002A9F000000000000000A\nB 2 0\nB 2 1\nE 2 1 FAILED\nE 2 0 FLUSH_DISK_TIMEOUT b0 1 8 null\n")
	if err != nil || len(list) != 6 {
		t.Fatalf("%v, %v", list, err)
	}
	ok, failed, late := list[1], list[4], list[5]
	if ok.Status != check.OK || ok.Queue != check.QueuesEach+2 || ok.Offset != 7 || ok.Position != 10 {
		t.Errorf("the confirmed send is %+v", ok)
	}
	if failed.Message != (check.Message{Writer: 2, Number: 1}) || failed.Status != check.Unknown {
		t.Errorf("the failed send is %+v", failed)
	}
	if late.Status != check.FlushTimeout || late.Offset != 8 || late.Position != check.NoPosition {
		t.Errorf("the send that timed out is %+v", late)
	}
	for _, wrong := range []string{"hello", "B 3 0", "B 1 1", "B 1 x", "B 1 0\nE 1 0 SEND_OK b9 2 7 X", "B 1 0\nE 1 0 SEND_OK b1 x 7 X"} {
		if _, err := pacedHistory(t, wrong+"\n"); err == nil {
			t.Errorf("%q is taken for events", wrong)
		}
	}
}

func TestARowOfFailoversIsJudgedByItsMedianAndByWhatWasLost(t *testing.T) {
	t.Parallel()
	r := &FailoverResults{Rate: 100, Length: time.Minute, Command: "apogee-chaos failover"}
	add := func(row string, gap time.Duration, broken string) {
		r.Runs = append(r.Runs, FailoverRun{Row: row, Gap: gap, Broken: broken})
	}
	for _, gap := range []time.Duration{9 * time.Second, time.Second, 2 * time.Second} {
		add("groups-go", gap, "")
	}
	add("transfer-go", 400*time.Millisecond, "")
	add("transfer-go", 200*time.Millisecond, "a message is lost")
	text := r.Render()
	for _, want := range []string{"| 3 | 2.000 | 1.000 – 9.000 | ≤ 1.5 | missed | nothing |", "| 2 | 0.300 | 0.200 – 0.400 | ≤ 0.5 | met | promises broken in 1 runs |"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if strings.Contains(text, "Java") {
		t.Errorf("a row without runs is shown:\n%s", text)
	}
	if r.Err() == nil {
		t.Error("a run that broke a promise is no error")
	}
}

func TestARouteCountsForItsMasters(t *testing.T) {
	t.Parallel()
	for route, want := range map[string]int{
		`{"brokerDatas":[{"brokerAddrs":{"0":"a"}},{"brokerAddrs":{"1":"b"}},{"brokerAddrs":{"0":"c","2":"d"}}]}`: 2,
		`{}`: 0, `nonsense`: 0,
	} {
		if got := masters([]byte(route)); got != want {
			t.Errorf("%s has %d masters, want %d", route, got, want)
		}
	}
}

func TestFailoversThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	good := FailoverOptions{Rows: failoverNames(), Runs: 1, Rate: 1, Length: lengthMin}
	if _, err := failoverRows(good.Rows); err != nil || good.check() != nil {
		t.Fatal(err, good.check())
	}
	for want, spoil := range map[string]func(o *FailoverOptions){
		"use some of groups-go": func(o *FailoverOptions) { o.Rows = []string{"meteor"} },
		"use 1 or more":         func(o *FailoverOptions) { o.Runs = 0 },
		"use 15s or more":       func(o *FailoverOptions) { o.Length = time.Second },
	} {
		o := good
		spoil(&o)
		if _, err := Failover(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
}
