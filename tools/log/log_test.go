package log

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/apogeemq/apogee/engine/commitlog"
	"github.com/apogeemq/apogee/engine/disk"
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/server/broker/record"
)

// begin opens a new log with small segments.
func begin(t testing.TB, dir string) *commitlog.Log {
	t.Helper()
	d, err := disk.OpenPosix(dir)
	if err != nil {
		t.Fatal(err)
	}
	l, _, err := commitlog.Open(commitlog.Options{
		Disk: d, SegmentBytes: 64 << 10, TailBytes: 48 << 10, HistoryBytes: 1 << 20,
		Create: commitlog.Creation{Meta: commitlog.Meta{Log: event.LogID{7}}, Configuration: []byte("one voter"), Timestamp: 1000},
	})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func store(t testing.TB, l *commitlog.Log, timestamp int64, drafts ...event.Draft) event.Position {
	t.Helper()
	var data []byte
	for i := range drafts {
		b := make([]byte, drafts[i].EncodedBytes())
		drafts[i].Encode(b, l.Seed())
		data = append(data, b...)
	}
	ticket, err := l.Append(commitlog.Batch{Kind: commitlog.FrameEvents, Term: 1, Events: len(drafts), Timestamp: timestamp, Data: data})
	if err == nil {
		err = l.Wait(ticket, commitlog.Durable)
	}
	if err != nil {
		t.Fatal(err)
	}
	return ticket.Position
}

func topicDraft(id event.TopicID, name string) event.Draft {
	c := event.TopicConfig{Name: name, ReadQueues: 4, WriteQueues: 4}
	return event.Draft{Kind: event.KindTopic, Topic: id, Payload: event.Bytes(event.AppendTopicConfig(nil, c))}
}

func messageDraft(id event.TopicID, name string, systemFlag int32, body []byte) event.Draft {
	host := netip.MustParseAddrPort("10.0.0.9:10911")
	m := &record.Message{Topic: name, SystemFlag: systemFlag, BornTimestamp: 1500, BornHost: host, StoreHost: host,
		Properties: []byte("KEYS\x01k1 k2\x02TAGS\x01red\x02")}
	m.SetBody(body)
	return event.Draft{Kind: event.KindMessage, Stream: event.StreamQueue, Topic: id, Queue: 2, Tag: 112785,
		Keys: []uint64{event.KeyHash(id, []byte("k1"))}, Payload: m}
}

// sample is a log of two topics, three messages and an offset commit, closed.
func sample(t testing.TB) (dir string, positions []event.Position) {
	t.Helper()
	dir = t.TempDir()
	l := begin(t, dir)
	commits := event.AppendOffsetCommits(nil, []event.OffsetCommit{{Group: "payers", Queue: event.Queue{Topic: 1, ID: 2}, Offset: 2, Client: "c1"}})
	positions = []event.Position{
		store(t, l, 2000, topicDraft(1, "orders"), topicDraft(2, "bills")),
		store(t, l, 3000, messageDraft(1, "orders", 0, []byte("first\x1b[2J"))),
		store(t, l, 4000, messageDraft(2, "bills", 0, []byte("second"))),
		store(t, l, 5000, messageDraft(1, "orders", 0, []byte{0xff, 0xfe})),
		store(t, l, 6000, event.Draft{Kind: event.KindOffsets, Payload: event.Bytes(commits)}),
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, positions
}

// run executes the command and returns what it prints and its exit status.
func run(t testing.TB, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	cmd := Command()
	var out, notes bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&notes)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	if err != nil {
		var own interface{ ExitStatus() int }
		if !errors.As(err, &own) {
			t.Fatalf("%q: the error has no status: %v", args, err)
		}
		status = own.ExitStatus()
	}
	return out.String(), notes.String(), status
}

func segmentFile(dir string) string { return filepath.Join(dir, "00000000000000000000.seg") }

func damage(t testing.TB, dir string, change func([]byte)) {
	t.Helper()
	b, err := os.ReadFile(segmentFile(dir))
	if err != nil {
		t.Fatal(err)
	}
	change(b)
	if err := os.WriteFile(segmentFile(dir), b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestVerifyEndsWithTheStatusOfWhatItFound(t *testing.T) {
	t.Parallel()
	clean, _ := sample(t)
	out, _, status := run(t, "verify", clean)
	for _, want := range []string{"6 frames (index 1 to 6)", "6 events", "durable by evidence: frame 6 in the mark file", "findings: 0 corrupt, 0 torn"} {
		if !strings.Contains(out, want) {
			t.Errorf("a clean log: %q is missing in\n%s", want, out)
		}
	}
	if status != 0 {
		t.Errorf("a clean log ends with %d\n%s", status, out)
	}

	torn, _ := sample(t)
	damage(t, torn, func(b []byte) { b[60000] = 1 })
	if out, _, status := run(t, "verify", torn); status != 1 || !strings.Contains(out, "torn tail") || !strings.Contains(out, "opening the log cuts") {
		t.Errorf("a torn log ends with %d\n%s", status, out)
	}

	corrupt, _ := sample(t)
	var at int
	damage(t, corrupt, func(b []byte) { at = bytes.Index(b, []byte("second")); b[at]++ })
	out, _, status = run(t, "verify", "--json", corrupt)
	var v verdict
	if err := json.Unmarshal([]byte(out), &v); err != nil || status != 2 || len(v.Findings) != 1 {
		t.Fatalf("a corrupt log ends with %d, %v\n%s", status, err, out)
	}
	if p := v.Findings[0]; p.Class != "corrupt" || p.File != filepath.Base(segmentFile(corrupt)) || p.Offset > int64(at) || p.Offset < int64(at)-300 {
		t.Errorf("finding %+v, the damage is at %d", p, at)
	}
	for _, args := range [][]string{{"verify"}, {"verify", t.TempDir()}, {"verify", "--fast", clean}, {"dump", "--kind", "x", clean},
		{"dump", clean, clean}, {"dump", "--from", "noon", clean}, {"dump", "--body", "loud", clean}, {"dump", "--position", "-2", clean}} {
		if _, _, status := run(t, args...); status != 3 {
			t.Errorf("%q ends with %d, want 3", args, status)
		}
	}
}

func TestNothingIsWrittenToTheFolder(t *testing.T) {
	t.Parallel()
	dir, _ := sample(t)
	before := names(t, dir)
	run(t, "verify", dir)
	run(t, "dump", dir)
	missing := filepath.Join(dir, "nothing")
	if _, _, status := run(t, "verify", missing); status != 3 || exists(missing) {
		t.Errorf("a missing folder: status %d, exists %v", status, exists(missing))
	}
	if after := names(t, dir); !slices.Equal(before, after) {
		t.Errorf("the folder had %v, now %v", before, after)
	}
}

func names(t testing.TB, dir string) []string {
	t.Helper()
	list, err := folder{dir}.List(".")
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestALogIsVerifiedWhileItIsOpen(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	l := begin(t, filepath.Join(root, "log"))
	for n := range 200 {
		store(t, l, int64(2000+n), messageDraft(1, "orders", 0, make([]byte, 700)))
		if n%20 > 0 {
			continue
		}
		if out, _, status := run(t, "verify", root); status != 0 {
			t.Fatalf("after %d messages: status %d\n%s", n, status, out)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestDumpShowsEnvelopeRecordAndBody(t *testing.T) {
	t.Parallel()
	dir, positions := sample(t)
	out, notes, status := run(t, "dump", dir)
	if status != 0 || notes != "" {
		t.Fatalf("status %d, %s", status, notes)
	}
	for _, want := range []string{
		"index=1 position=0 time=1970-01-01T00:00:01.000Z kind=configuration",
		"kind=topic topic=orders#1", "  name=bills read-queues=4 write-queues=4\n",
		"index=3 position=" + strconv.Itoa(int(positions[1])) + " time=1970-01-01T00:00:03.000Z kind=message topic=orders#1 queue=2 offset=0 tag=112785 keys=[",
		"  KEYS=k1 k2\n  TAGS=red\n", `body: "first\x1b[2J"`, "body in hexadecimal: fffe\n", "offset=1 tag",
		"  group=payers topic=orders#1 queue=2 offset=2 client=c1\n", "born=1970-01-01T00:00:01.500Z from=10.0.0.9:10911",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Error("a control character reaches the terminal")
	}
}

// shown are the indexes of the frames whose events dump shows.
func shown(t testing.TB, args ...string) (indexes []int, lines []line) {
	t.Helper()
	out, _, status := run(t, append([]string{"dump", "--json"}, args...)...)
	if status != 0 {
		t.Fatalf("%q: status %d", args, status)
	}
	d := json.NewDecoder(strings.NewReader(out))
	for d.More() {
		var l line
		if err := d.Decode(&l); err != nil {
			t.Fatal(err)
		}
		indexes, lines = append(indexes, int(l.Index)), append(lines, l)
	}
	return indexes, lines
}

func TestDumpFilters(t *testing.T) {
	t.Parallel()
	dir, positions := sample(t)
	for _, c := range []struct {
		args string
		want []int
	}{
		{"", []int{1, 2, 2, 3, 4, 5, 6}},
		{"--topic orders", []int{2, 3, 5}},
		{"--kind message", []int{3, 4, 5}},
		{"--kind configuration,offsets", []int{1, 6}},
		{"--from 3000 --to 5000", []int{3, 4}},
		{"--from 1970-01-01T00:00:05Z", []int{5, 6}},
		{"--limit 2", []int{1, 2}},
		{"--position " + strconv.Itoa(int(positions[2])), []int{4}},
		{"--position " + strconv.Itoa(int(positions[2])+10), []int{4}},
		{"--position 99999999", nil},
		{"--topic bills --kind message --body none", []int{4}},
	} {
		if got, _ := shown(t, append(strings.Fields(c.args), dir)...); !slices.Equal(got, c.want) {
			t.Errorf("%q shows frames %v, want %v", c.args, got, c.want)
		}
	}
}

func TestSeekFindsTheSameEventWithoutWhatStandsBefore(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := begin(t, dir)
	store(t, l, 2000, topicDraft(1, "orders"))
	var last event.Position
	for range 60 { // three segments
		last = store(t, l, 3000, messageDraft(1, "orders", 0, make([]byte, 3000)))
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	at := strconv.Itoa(int(last))
	_, whole := shown(t, "--position", at, dir)
	_, fast := shown(t, "--position", at, "--seek", dir)
	if len(whole) != 1 || len(fast) != 1 || whole[0].Index != fast[0].Index || fast[0].Topic != "orders" {
		t.Fatalf("shown %+v and %+v", whole, fast)
	}
	if whole[0].Offset == nil || *whole[0].Offset != 59 || fast[0].Offset != nil {
		t.Errorf("offsets %v and %v, want 59 and none", whole[0].Offset, fast[0].Offset)
	}
}

func TestDumpPassesOverDamageAndSaysSo(t *testing.T) {
	t.Parallel()
	dir, _ := sample(t)
	damage(t, dir, func(b []byte) { b[bytes.Index(b, []byte("second"))]++ })
	out, notes, status := run(t, "dump", "--kind", "message", dir)
	if status != 0 || strings.Count(out, "kind=message") != 2 || !strings.Contains(notes, "corrupt event") || strings.Contains(out, "offset=1") {
		t.Errorf("status %d\n%s\n%s", status, notes, out)
	}
}

func TestALossIsShownAndForgivenOnlyByForce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	l := begin(t, dir)
	store(t, l, 2000, event.Draft{Kind: event.KindLost, Payload: event.Bytes(event.AppendLost(nil, event.Lost{Kept: 41, Position: 900, Had: 45, Cause: event.LostByPower}))})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	out, _, status := run(t, "dump", "--kind", "lost", dir)
	if status != 0 || !strings.Contains(out, "cause=power kept=41 position=900 had=45") {
		t.Errorf("status %d: %s", status, out)
	}
	for _, args := range [][]string{{"forgive", dir}, {"forgive", "--force", dir}} { // none is noted
		if out, _, status := run(t, args...); status != statusFailed || out != "" {
			t.Errorf("%v: status %d, %s", args, status, out)
		}
	}
}
