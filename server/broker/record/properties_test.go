package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// javaProperties is the slow and obvious reading of a properties string.
func javaProperties(s string) map[string]string {
	table := map[string]string{}
	for entry := range strings.SplitSeq(s, "\x02") {
		name, value, found := strings.Cut(entry, "\x01")
		if found && name != "" && value != "" {
			table[name] = value
		}
	}
	return table
}

func collect(p Properties) map[string]string {
	table := map[string]string{}
	for name, value := range p.All() {
		table[string(name)] = string(value)
	}
	return table
}

func TestPropertiesAreReadAsJavaReadsThem(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]map[string]string{
		"":                              {},
		"\x02\x02":                      {},
		"a\x01b":                        {"a": "b"},
		"a\x01b\x02":                    {"a": "b"},
		"a\x01b\x02c\x01d":              {"a": "b", "c": "d"},
		"\x01b\x02c\x01\x02noValue\x02": {},
		"a\x01b\x01c\x02":               {"a": "b\x01c"},
		"a\x01first\x02a\x01last\x02":   {"a": "last"},
	} {
		if diff := cmp.Diff(want, collect(Properties(in))); diff != "" {
			t.Errorf("%q (-want +got):\n%s", in, diff)
		}
	}
}

func anyProperties(t *rapid.T) string {
	piece := rapid.SampledFrom([]string{"\x01", "\x02", "KEYS", "TAGS", "UNIQ_KEY", "POP_CK", "TRACE_ON", "CLUSTER", "x", "Ä"})
	return strings.Join(rapid.SliceOf(piece).Draw(t, "properties"), "")
}

func TestStoredPropertiesAreTheSentOnesPlusTheBrokers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		sent := anyProperties(t)
		want := javaProperties(sent)
		delete(want, "POP_CK")
		maps.Copy(want, map[string]string{"MSG_REGION": "r", "TRACE_ON": "true", "CLUSTER": "c", "UNIQ_KEY": "u"})
		got := AppendSent([]byte("KEPT\x01yes\x02"), Properties(sent),
			Additions{Region: "r", Trace: "true", Cluster: "c"}, []byte("u"))
		want["KEPT"] = "yes"
		if diff := cmp.Diff(want, collect(got)); diff != "" {
			t.Fatalf("stored properties of %q (-want +got):\n%s", sent, diff)
		}
	})
}

func TestDelayLevelOfTheBrokerReplacesTheProducers(t *testing.T) {
	t.Parallel()
	sent := Properties("DELAY\x013\x02a\x01b\x02DELAY\x014\x02")
	for level, want := range map[string]string{"": "4", "0": "0"} {
		got := collect(AppendSent(nil, sent, Additions{DelayLevel: level}, nil))
		if diff := cmp.Diff(map[string]string{"DELAY": want, "a": "b"}, got); diff != "" {
			t.Errorf("level %q (-want +got):\n%s", level, diff)
		}
	}
}

func TestUniqueKeyOfTheProducerIsKept(t *testing.T) {
	t.Parallel()
	got := AppendSent(nil, Properties("UNIQ_KEY\x01mine\x02"), Additions{}, nil)
	if string(got) != "UNIQ_KEY\x01mine\x02" {
		t.Errorf("stored %q", got)
	}
}

func TestKnownPropertiesAreFoundInOneWalk(t *testing.T) {
	t.Parallel()
	names := []string{"KEYS", "TAGS", "UNIQ_KEY", "DELAY", "TIMER_DELAY_SEC", "TIMER_DELAY_MS",
		"TIMER_DELIVER_MS", "TRAN_MSG", "INNER_NUM"}
	var p []byte
	for i, name := range names {
		p = AppendProperty(p, name, fmt.Sprint("old", i))
		p = AppendProperty(p, name, fmt.Sprint(i))
	}
	k := Properties(p).Known()
	got := [][]byte{k.Keys, k.Tags, k.UniqueKey, k.DelayLevel, k.DelaySeconds, k.DelayMillis,
		k.DeliverMillis, k.Transaction, k.InnerNumber}
	for i, v := range got {
		if string(v) != fmt.Sprint(i) {
			t.Errorf("%s is %q, want %d", names[i], v, i)
		}
	}
}

func FuzzPropertiesAreReadAsJavaReadsThem(f *testing.F) {
	f.Add("TAGS\x01TagA\x02KEYS\x01a b\x02")
	f.Add("\x01\x02\x01\x01\x02\x02a")
	f.Fuzz(func(t *testing.T, s string) {
		if diff := cmp.Diff(javaProperties(s), collect(Properties(s))); diff != "" {
			t.Fatalf("%q (-want +got):\n%s", s, diff)
		}
	})
}

func TestReadingAndRewritingPropertiesDoesNotAllocate(t *testing.T) {
	sent := Properties("TAGS\x01TagA\x02KEYS\x01k1 k2\x02UNIQ_KEY\x017F0000010000\x02WAIT\x01true\x02")
	dst := make([]byte, 0, 512)
	if n := testing.AllocsPerRun(100, func() {
		if sent.Known().Tags == nil {
			t.Fatal("no tag")
		}
		dst = AppendSent(dst[:0], sent, Additions{Region: "r", Trace: "true", Cluster: "c"}, nil)
	}); n != 0 {
		t.Errorf("%v allocations per message, want none", n)
	}
}

func TestMessageIDNamesHostAndPosition(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"127.0.0.1:10911":        "7F00000100002A9F0000000000001000",
		"[::ffff:127.0.0.1]:256": "7F000001000001000000000000001000",
		"[2001:db8::1]:10911":    "20010DB8000000000000000000000001" + "00002A9F" + "0000000000001000",
	} {
		if got := string(AppendMessageID(nil, netip.MustParseAddrPort(host), 4096)); got != want {
			t.Errorf("id of %s at 4096 is %s, want %s", host, got, want)
		}
	}
}

func TestPositionIsReadBackFromAMessageID(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"127.0.0.1:10911", "[2001:db8::1]:10911"} {
		id := string(AppendMessageID(nil, netip.MustParseAddrPort(host), 1<<40+7))
		if got, err := ParseMessageID(id); got != 1<<40+7 || err != nil {
			t.Errorf("position of %s is %d, %v", id, got, err)
		}
		for _, bad := range []string{"", id[2:], id + "00", "Z" + id[1:], id[:len(id)-16] + "FFFFFFFFFFFFFFFF"} {
			if _, err := ParseMessageID(bad); err == nil {
				t.Errorf("%q was read as a message id", bad)
			}
		}
	}
}

func TestUniqueKeyCarriesAddressProcessTimeAndCounter(t *testing.T) {
	t.Parallel()
	keys := NewUniqueKeys(netip.MustParseAddr("127.0.0.1"), 0x12, 0xA39F1200, time.UTC)
	start := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC).UnixMilli()
	for _, c := range []struct {
		at   int64
		want string
	}{
		{start + 0x0ABC, "7F0000010012A39F1200" + "00000ABC" + "0000"},
		{start + 0x0ABD, "7F0000010012A39F1200" + "00000ABD" + "0001"},
		{time.Date(2026, 3, 1, 0, 0, 0, 5e6, time.UTC).UnixMilli(), "7F0000010012A39F1200" + "00000005" + "0002"},
		{time.Date(2026, 2, 28, 23, 59, 59, 0, time.UTC).UnixMilli(), "7F0000010012A39F1200" + "90320C18" + "0003"},
	} {
		if got := string(keys.Append(nil, c.at)); got != c.want {
			t.Errorf("key at %d is %s, want %s", c.at, got, c.want)
		}
	}
}

func TestUniqueKeysOfOneProcessDiffer(t *testing.T) {
	t.Parallel()
	keys := NewUniqueKeys(netip.MustParseAddr("::1"), 1, 2, time.UTC)
	seen := map[string]bool{}
	for range 1000 {
		k := string(keys.Append(nil, 1700000000000))
		if len(k) != 56 || seen[k] {
			t.Fatalf("key %q has %d digits, seen before: %t", k, len(k), seen[k])
		}
		seen[k] = true
	}
}

func appendBatchItem(dst []byte, flag int32, body, properties string) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(batchItemBytesMin+len(body)+len(properties)))
	dst = append(dst, 1, 2, 3, 4, 5, 6, 7, 8)
	dst = binary.BigEndian.AppendUint32(dst, uint32(flag))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(body)))
	dst = append(dst, body...)
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(properties)))
	return append(dst, properties...)
}

func TestBatchIsSplitIntoItsMessages(t *testing.T) {
	t.Parallel()
	b := appendBatchItem(nil, 7, "first", "TAGS\x01a\x02")
	b = appendBatchItem(b, -1, "", "")
	first, b, err := SplitBatch(b)
	if err != nil || first.Flag != 7 || string(first.Body) != "first" || string(first.Properties) != "TAGS\x01a\x02" {
		t.Fatalf("first message is %+v, error %v", first, err)
	}
	second, b, err := SplitBatch(b)
	if err != nil || second.Flag != -1 || len(second.Body)+len(second.Properties)+len(b) != 0 {
		t.Fatalf("second message is %+v with %d bytes left, error %v", second, len(b), err)
	}
}

func TestDamagedBatchIsRefused(t *testing.T) {
	t.Parallel()
	whole := appendBatchItem(nil, 0, "body", "a\x01b\x02")
	for n := range whole {
		if _, _, err := SplitBatch(whole[:n]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d of %d bytes: error %v, want ErrCorrupt", n, len(whole), err)
		}
	}
	for _, at := range []int{0, 3, 16, 19, 24} {
		b := bytes.Clone(whole)
		b[at] += 0x81
		if _, _, err := SplitBatch(b); !errors.Is(err, ErrCorrupt) {
			t.Errorf("byte %d changed: error %v, want ErrCorrupt", at, err)
		}
	}
}

func FuzzSplitBatchEnds(f *testing.F) {
	f.Add(appendBatchItem(appendBatchItem(nil, 0, "body", "a\x01b\x02"), 1, "x", ""))
	f.Add(make([]byte, 64))
	f.Fuzz(func(t *testing.T, b []byte) {
		for len(b) > 0 {
			item, rest, err := SplitBatch(b)
			if err != nil {
				if !errors.Is(err, ErrCorrupt) {
					t.Fatalf("error %v is not ErrCorrupt", err)
				}
				return
			}
			if len(item.Body)+len(item.Properties)+batchItemBytesMin+len(rest) != len(b) {
				t.Fatal("the parts don't add up to the whole")
			}
			b = rest
		}
	})
}
