package faultdisk

import (
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestRulesAreReadAsWritten(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Rule{
		"sync:*.log:3=EIO":         {Operations: []Operation{Sync}, Paths: "*.log", First: 3, Last: 3, Actions: []Action{{Error: "EIO"}}},
		"write:*.seg:5..=ENOSPC":   {Operations: []Operation{Write}, Paths: "*.seg", First: 5, Last: math.MaxUint64, Actions: []Action{{Error: "ENOSPC"}}},
		"read:*.seg:*=delay(20ms)": {Operations: []Operation{Read}, Paths: "*.seg", First: 1, Last: math.MaxUint64, Actions: []Action{{Delay: 20 * time.Millisecond}}},
		"sync:*:*=hang":            {Operations: []Operation{Sync}, Paths: "*", First: 1, Last: math.MaxUint64, Actions: []Action{{Hang: true}}},
		"*:a/b:2..4=delay(1s)+EIO": {Paths: "a/b", First: 2, Last: 4, Actions: []Action{{Delay: time.Second}, {Error: "EIO"}}},
		"write|read:x:1=short(0)":  {Operations: []Operation{Write, Read}, Paths: "x", First: 1, Last: 1, Actions: []Action{{Short: true}}},
	} {
		rules, err := Parse(text)
		if err != nil || len(rules) != 1 || !reflect.DeepEqual(rules[0], want) {
			t.Errorf("%s: %+v, %v; want %+v", text, rules, err, want)
			continue
		}
		again, err := Parse(rules[0].String())
		if err != nil || !reflect.DeepEqual(again, rules) {
			t.Errorf("%s is written as %s, which is read as %+v, %v", text, rules[0], again, err)
		}
	}
}

func TestRulesStandInLinesWithComments(t *testing.T) {
	t.Parallel()
	rules, err := Parse("# nothing here\n sync : * : 1 = EIO ; ; read:*:2=EIO # why\n\n*:*:3=hang")
	if err != nil || len(rules) != 3 {
		t.Fatalf("%d rules, %v; want 3", len(rules), err)
	}
}

func TestAWrongRuleIsNamedWithWhatIsAllowed(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"sync:*.log":              "want operations:paths:count=actions",
		"sync:*.log:3":            "no = with an action",
		"flush:*:1=EIO":           `operation "flush"`,
		"sync|:*:1=EIO":           `operation ""`,
		"sync::1=EIO":             "want a file name or a pattern",
		"sync:[:1=EIO":            "want a file name or a pattern",
		"sync:*:0=EIO":            "counted from 1",
		"sync:*:5..3=EIO":         "counted from 1",
		"sync:*:-1=EIO":           "counted from 1",
		"sync:*:1=":               `action ""`,
		"sync:*:1=EWHAT":          "EROFS",
		"sync:*:1=EIO()":          `action "EIO()"`,
		"sync:*:1=hang()":         `action "hang()"`,
		"sync:*:1=delay":          `action "delay"`,
		"sync:*:1=delay(20ms":     "action",
		"sync:*:1=delay(-1s)":     "a time above zero",
		"write:*:1=short(x)":      "a number of bytes",
		"sync:*:1=short(5)":       "only a read or a write",
		"sync:*:1=EIO+delay(1s)":  "can't happen after EIO",
		"a:b:1=EIO\nsync:*:1=EIO": "line 1",
		"sync:*:1=EIO\na:b:1=EIO": "line 2",
		strings.Repeat("sync:*:1=EIO;", rulesMax+1):   "more than 1000 fault rules",
		"sync:*:1=" + strings.Repeat("hang+", 20):     "more than 16 actions",
		strings.Repeat("#", textBytesMax+1):           "65536 are allowed",
		"write:*:1=short(99999999999999999999999999)": "a number of bytes",
	} {
		rules, err := Parse(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q: %v, %v; want an error with %q", text, rules, err, want)
		}
	}
}

func TestAPatternWithoutSlashMatchesTheLastPart(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rule, name string
		want       bool
	}{
		{"sync:*.log:1=EIO", "a.log", true},
		{"sync:*.log:1=EIO", "dir/sub/a.log", true},
		{"sync:*.log:1=EIO", "a.seg", false},
		{"sync:dir/*:1=EIO", "dir/a.log", true},
		{"sync:dir/*:1=EIO", "a.log", false},
		{"sync:dir/*:1=EIO", "dir/sub/a.log", false},
		{"read:*:1=EIO", "a.log", false},
		{"*:*:1=EIO", "a.log", true},
	} {
		rules, err := Parse(c.rule)
		if err != nil {
			t.Fatal(err)
		}
		if got := rules[0].matches(Sync, c.name); got != c.want {
			t.Errorf("%s matches a sync of %s: %v, want %v", c.rule, c.name, got, c.want)
		}
	}
}

// FuzzParse holds that whatever is accepted is written back as the same rule.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		"sync:*.log:3=EIO", "write:*.seg:5..=ENOSPC", "read:*.seg:*=delay(20ms)", "sync:*:*=hang",
		"write|sync:a/[a-z]?:2..4=delay(1h2m)+EIO # x\n;;*:x:1=short(7)", "sync:\\::1=EIO", "*:*:1..1=hang+hang",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := Parse(text)
		if err != nil {
			return
		}
		for _, rule := range rules {
			again, err := Parse(rule.String())
			if err != nil || len(again) != 1 || !reflect.DeepEqual(again[0], rule) {
				t.Fatalf("%+v is written as %q, which is read as %+v, %v", rule, rule, again, err)
			}
			rule.matches(Sync, "dir/file.log")
		}
	})
}
