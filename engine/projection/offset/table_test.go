package offset_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
	"github.com/apogeemq/apogee/engine/projection/offset"
	"github.com/apogeemq/apogee/engine/projection/projectiontest"
	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func encode(d event.Draft) event.Event {
	b := make([]byte, d.EncodedBytes())
	d.Encode(b, 0)
	return b
}

func committed(commits ...event.OffsetCommit) event.Event {
	return encode(event.Draft{Kind: event.KindOffsets, Payload: event.Bytes(event.AppendOffsetCommits(nil, commits))})
}

func TestTheLatestCommitCountsAlsoWhenItGoesBack(t *testing.T) {
	t.Parallel()
	table, q := offset.New(), event.Queue{Topic: 1, ID: 2}
	if _, found := table.Get("group", q); found {
		t.Fatal("found a commit in an empty table")
	}
	table.Apply(projection.Place{Timestamp: 10}, committed(
		event.OffsetCommit{Group: "group", Queue: q, Offset: 4, Client: "a"},
		event.OffsetCommit{Group: "group", Queue: q, Offset: 9, Client: "b"}))
	if got, _ := table.Get("group", q); got != (offset.Commit{Offset: 9, Timestamp: 10, Client: "b"}) {
		t.Fatalf("got %+v", got)
	}
	table.Apply(projection.Place{Timestamp: 20}, committed(event.OffsetCommit{Group: "group", Queue: q, Offset: 3}))
	if got, _ := table.Get("group", q); got != (offset.Commit{Offset: 3, Timestamp: 20}) {
		t.Fatalf("got %+v", got)
	}
	if table.Version() != 3 {
		t.Fatalf("version %d, expected 3", table.Version())
	}
}

func TestADeletedTopicTakesItsCommitsAndEmptyGroupsAlong(t *testing.T) {
	t.Parallel()
	table := offset.New()
	kept := event.Queue{Topic: 2}
	table.Apply(projection.Place{}, committed(
		event.OffsetCommit{Group: "both", Queue: event.Queue{Topic: 1}, Offset: 1},
		event.OffsetCommit{Group: "both", Queue: kept, Offset: 2},
		event.OffsetCommit{Group: "gone", Queue: event.Queue{Topic: 1, ID: 5}, Offset: 3}))
	table.Apply(projection.Place{}, encode(event.Draft{Kind: event.KindTopicDeleted, Topic: 1}))
	if got := table.Groups(); !slices.Equal(got, []string{"both"}) {
		t.Fatalf("groups %q", got)
	}
	want := []offset.QueueCommit{{Queue: kept, Commit: offset.Commit{Offset: 2}}}
	if diff := gocmp.Diff(want, table.Group("both")); diff != "" {
		t.Fatal(diff)
	}
	if table.Version() != 5 {
		t.Fatalf("version %d, expected 5: three set, two removed", table.Version())
	}
}

func TestTheTableAnswersLikeItsSimpleTwin(t *testing.T) {
	t.Parallel()
	type key struct {
		group string
		queue event.Queue
	}
	rapid.Check(t, func(t *rapid.T) {
		table, twin := offset.New(), map[key]offset.Commit{}
		for _, s := range projectiontest.Logs().Draw(t, "log") {
			projectiontest.Apply(table, []projectiontest.Step{s})
			switch s.Event.Kind() {
			case event.KindOffsets:
				commits, err := event.DecodeOffsetCommits(s.Event.Payload())
				if err != nil {
					t.Fatalf("%v", err)
				}
				for _, c := range commits {
					twin[key{c.Group, c.Queue}] = offset.Commit{Offset: c.Offset, Timestamp: s.At.Timestamp, Client: c.Client}
				}
			case event.KindTopicDeleted:
				for k := range twin {
					if k.queue.Topic == s.Event.Topic() {
						delete(twin, k)
					}
				}
			case event.KindGroupDeleted:
				deletion, err := event.DecodeGroupDeletion(s.Event.Payload())
				if err != nil {
					t.Fatalf("%v", err)
				}
				for k := range twin {
					if deletion.Offsets && k.group == deletion.Name {
						delete(twin, k)
					}
				}
			}
		}
		n := 0
		for _, group := range table.Groups() {
			for _, c := range table.Group(group) {
				k := key{group, c.Queue}
				if got, found := table.Get(group, c.Queue); !found || got != c.Commit || got != twin[k] {
					t.Fatalf("%v: %+v and %+v, expected %+v", k, got, c, twin[k])
				}
				n++
			}
		}
		if n != len(twin) {
			t.Fatalf("%d commits, expected %d", n, len(twin))
		}
	})
}

func TestBytesNoProposerLetsThroughPanic(t *testing.T) {
	t.Parallel()
	defer func() {
		if got, _ := recover().(string); !strings.HasPrefix(got, "BUG: offsets event at position 77: corrupt event") {
			t.Fatalf("panic %q", got)
		}
	}()
	offset.New().Apply(projection.Place{Position: 77}, encode(event.Draft{Kind: event.KindOffsets}))
}

func manyCommits(count int) []event.OffsetCommit {
	commits := make([]event.OffsetCommit, count)
	for i := range commits {
		commits[i] = event.OffsetCommit{Group: fmt.Sprintf("group-%d", i%4), Client: fmt.Sprintf("client-%d", i%4),
			Queue: event.Queue{Topic: event.TopicID(1 + i/32), ID: uint32(i / 4 % 8)}, Offset: event.Offset(i)}
	}
	return commits
}

func TestReadersSeeWholeCommitsWhileTheApplierChangesThem(t *testing.T) {
	t.Parallel()
	table, q, done := offset.New(), event.Queue{Topic: 1, ID: 1}, make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for last := int64(0); ; {
				select {
				case <-done:
					return
				default:
				}
				c, found := table.Get("group", q)
				table.Groups()
				table.Group("group")
				if found && (c.Timestamp < last || int64(c.Offset) != c.Timestamp || c.Client != fmt.Sprint(c.Offset)) {
					t.Errorf("got %+v after time %d", c, last)
					return
				}
				last = max(last, c.Timestamp)
			}
		})
	}
	for i := range 3000 {
		table.Apply(projection.Place{Timestamp: int64(i)}, committed(
			event.OffsetCommit{Group: "group", Queue: q, Offset: event.Offset(i), Client: fmt.Sprint(i)}))
		if i%10 == 0 {
			table.Apply(projection.Place{}, encode(event.Draft{Kind: event.KindTopicDeleted, Topic: 1}))
		}
	}
	close(done)
	readers.Wait()
}

func TestGetAllocatesNothing(t *testing.T) {
	table := offset.New()
	table.Apply(projection.Place{}, committed(manyCommits(100)...))
	if n := testing.AllocsPerRun(100, func() {
		if _, found := table.Get("group-1", event.Queue{Topic: 1, ID: 1}); !found {
			t.Error("not found")
		}
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func TestApplyingKnownCommitsAllocatesPerTextNotPerCommit(t *testing.T) {
	table, e := offset.New(), committed(manyCommits(2000)...)
	table.Apply(projection.Place{}, e)
	if n := testing.AllocsPerRun(10, func() { table.Apply(projection.Place{}, e) }); n > 20 {
		t.Fatalf("%v allocations for 2,000 commits", n)
	}
}

func BenchmarkApplyOfAThousandCommits(b *testing.B) {
	table, e := offset.New(), committed(manyCommits(1000)...)
	b.ReportAllocs()
	for b.Loop() {
		table.Apply(projection.Place{}, e)
	}
	b.ReportMetric(float64(b.N)*1000/b.Elapsed().Seconds(), "commits/s")
}

func BenchmarkGet(b *testing.B) {
	table := offset.New()
	table.Apply(projection.Place{}, committed(manyCommits(100_000)...))
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		n := i * 7919 % 100_000
		table.Get("group-1", event.Queue{Topic: event.TopicID(1 + n/32), ID: uint32(n / 4 % 8)})
	}
}

func TestOffsetsOfADeletedGroupGoOnlyWhenItsDeletionSaysSo(t *testing.T) {
	t.Parallel()
	table := offset.New()
	q := event.Queue{Topic: 1, ID: 2}
	apply := func(kind event.Kind, payload []byte) {
		d := event.Draft{Kind: kind, Payload: event.Bytes(payload)}
		b := make([]byte, d.EncodedBytes())
		d.Encode(b, 0)
		table.Apply(projection.Place{}, b)
	}
	apply(event.KindOffsets, event.AppendOffsetCommits(nil, []event.OffsetCommit{{Group: "a", Queue: q, Offset: 5}, {Group: "b", Queue: q, Offset: 6}}))
	apply(event.KindGroupDeleted, event.AppendGroupDeletion(nil, event.GroupDeletion{Name: "a"}))
	if _, found := table.Get("a", q); !found || table.Version() != 2 {
		t.Fatalf("the offset is gone without being told, version %d", table.Version())
	}
	apply(event.KindGroupDeleted, event.AppendGroupDeletion(nil, event.GroupDeletion{Name: "a", Offsets: true}))
	if _, found := table.Get("a", q); found || table.Version() != 3 {
		t.Fatalf("the offset is still there or version %d is not 3", table.Version())
	}
	if _, found := table.Get("b", q); !found {
		t.Fatal("the offset of another group is gone")
	}
}
