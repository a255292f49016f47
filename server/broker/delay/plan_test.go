package delay

import (
	"errors"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/apogeemq/apogee/server/broker/record"
)

const now = int64(1_700_000_000_000)

func rules() *Rules { return &Rules{Levels: MustParseLevels(DefaultLevels), Longest: 72 * time.Hour} }

func planOf(properties string) (Plan, error) {
	known := record.Properties(properties).Known()
	return rules().Plan(&known, now)
}

func TestAMessageWaitsAsItsPropertiesSay(t *testing.T) {
	t.Parallel()
	timer := func(wait int64) Plan { return Plan{Topic: TimerTopic, Due: now + wait} }
	level := func(queue uint32, wait int64) Plan { return Plan{Topic: LevelTopic, Queue: queue, Due: now + wait} }
	at := func(ms int64) string { return strconv.FormatInt(now+ms, 10) }
	for properties, want := range map[string]Plan{
		"":                                      {},
		"TAGS\x01a\x02":                         {},
		"DELAY\x010\x02":                        {},
		"DELAY\x01-1\x02":                       {},
		"DELAY\x011\x02":                        level(0, 1000),
		"DELAY\x0118\x02":                       level(17, 7_200_000),
		"DELAY\x0199\x02":                       level(17, 7_200_000),
		"DELAY\x012\x02TIMER_DELAY_MS\x019\x02": level(1, 5000),
		"DELAY\x010\x02TIMER_DELAY_MS\x019\x02": timer(9),
		"TIMER_DELAY_MS\x011\x02":               timer(1),
		"TIMER_DELAY_SEC\x013\x02TIMER_DELAY_MS\x019\x02":                                               timer(3000),
		"TIMER_DELIVER_MS\x01" + at(5) + "\x02TIMER_DELAY_MS\x019\x02":                                  timer(9),
		"TIMER_DELIVER_MS\x01" + at(2000) + "\x02":                                                      timer(2000),
		"TIMER_DELIVER_MS\x01" + at(0) + "\x02":                                                         {},
		"TIMER_DELIVER_MS\x01" + at(-1) + "\x02":                                                        {},
		"TIMER_DELIVER_MS\x01-9223372036854775808\x02":                                                  {},
		"TIMER_DELAY_MS\x01-5\x02":                                                                      {},
		"TIMER_DELAY_SEC\x01259200\x02":                                                                 timer(259_200_000),
		"TIMER_DELIVER_MS\x01" + at(2000) + "\x02TIMER_OUT_MS\x01" + at(2000) + "\x02REAL_QID\x010\x02": {},
	} {
		if got, err := planOf(properties); err != nil || got != want {
			t.Errorf("%q: %+v, %v, expected %+v", properties, got, err, want)
		}
	}
}

func TestWhatAMessageCannotWaitForIsRefused(t *testing.T) {
	t.Parallel()
	for _, properties := range []string{
		"DELAY\x01soon\x02", "TIMER_DELAY_SEC\x01soon\x02", "TIMER_DELAY_MS\x011.5\x02", "TIMER_DELIVER_MS\x01now\x02",
		"TIMER_DELAY_SEC\x01259201\x02", "TIMER_DELAY_MS\x01259200001\x02", "TIMER_DELIVER_MS\x01" + strconv.FormatInt(math.MaxInt64, 10) + "\x02",
		"TIMER_DELAY_SEC\x01" + strconv.FormatInt(math.MaxInt64, 10) + "\x02", "TIMER_DELAY_SEC\x015\x02TIMER_DEL_UNIQKEY\x01TU\x02",
	} {
		if got, err := planOf(properties); !errors.Is(err, ErrNotAllowed) {
			t.Errorf("%q: %+v, %v", properties, got, err)
		}
	}
}

func TestACommittedDelayIsKeptThoughTheLongestIsShorterByNow(t *testing.T) {
	t.Parallel()
	known := record.Properties("TIMER_DELAY_SEC\x01259200\x02").Known()
	short := &Rules{Levels: MustParseLevels("1s"), Longest: time.Second}
	if got, err := short.PlanCommitted(&known, now); err != nil || got != (Plan{Topic: TimerTopic, Due: now + 259_200_000}) {
		t.Errorf("%+v, %v", got, err)
	}
	known = record.Properties("DELAY\x012\x02").Known()
	if got, err := short.PlanCommitted(&known, now); err != nil || got != (Plan{Topic: LevelTopic, Due: now + 1000}) {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestLevelsAreReadAsRocketMQWritesThem(t *testing.T) {
	t.Parallel()
	levels, err := ParseLevels(" 1s  2m 3h 4d")
	want := Levels{time.Second, 2 * time.Minute, 3 * time.Hour, 96 * time.Hour}
	if err != nil || len(levels) != 4 || levels[0] != want[0] || levels[1] != want[1] || levels[2] != want[2] || levels[3] != want[3] {
		t.Fatal(levels, err)
	}
	for _, text := range []string{"", "1", "s", "1s 2", "-1s", "1w", "9223372036854775807d"} {
		if levels, err := ParseLevels(text); err == nil {
			t.Errorf("%q: %v", text, levels)
		}
	}
}

func FuzzPlan(f *testing.F) {
	f.Add("DELAY\x013\x02")
	f.Add("TIMER_DELAY_SEC\x0199999999999999\x02")
	f.Add("TIMER_DELIVER_MS\x011700000001000\x02")
	f.Add("TIMER_DELIVER_MS\x01-9223372036854775808\x02")
	f.Fuzz(func(t *testing.T, properties string) {
		p, err := planOf(properties)
		if err == nil && p.Waits() && (p.Due < now || p.Due > now+rules().Longest.Milliseconds()) {
			t.Fatalf("%+v", p)
		}
	})
}

func TestARecallHandleIsReadBack(t *testing.T) {
	t.Parallel()
	h := Handle{Topic: "T", Broker: "broker-a", Due: now, UniqueKey: "7F0000010001", Waiting: 12345}
	text := AppendHandle(nil, h)
	if got, err := ParseHandle(text); err != nil || got != h {
		t.Errorf("%+v, %v", got, err)
	}
	if len(text)%4 != 0 {
		t.Errorf("%s has no padding", text)
	}
}

func FuzzParseHandle(f *testing.F) {
	f.Add(AppendHandle(nil, Handle{Topic: "T", Broker: "b", Due: now, UniqueKey: "U", Waiting: 1}))
	f.Add([]byte("djEgYSBiIDEgYw=="))
	f.Add([]byte("%%"))
	f.Fuzz(func(t *testing.T, text []byte) {
		h, err := ParseHandle(text)
		if err != nil {
			return
		}
		if again, err := ParseHandle(AppendHandle(nil, h)); err != nil || again != h {
			t.Fatalf("%+v became %+v, %v", h, again, err)
		}
	})
}
