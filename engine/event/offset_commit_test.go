package event_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/apogeemq/apogee/engine/event"
	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func offsetCommits() *rapid.Generator[[]event.OffsetCommit] {
	return rapid.SliceOf(rapid.Custom(func(t *rapid.T) event.OffsetCommit {
		return event.OffsetCommit{
			Group:  rapid.StringN(1, 3, 12).Draw(t, "group"),
			Queue:  event.Queue{Topic: event.TopicID(rapid.Uint32().Draw(t, "topic")), ID: rapid.Uint32().Draw(t, "queue")},
			Offset: event.Offset(rapid.Int64Range(0, math.MaxInt64).Draw(t, "offset")),
			Client: rapid.StringN(0, 3, 12).Draw(t, "client"),
		}
	}))
}

func TestOffsetCommitsThatValidateComeBackAsTheyWere(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := offsetCommits().Draw(t, "commits")
		if err := event.ValidateOffsetCommits(want); err != nil {
			t.Fatalf("%v", err)
		}
		b := event.AppendOffsetCommits([]byte("before"), want)
		got, err := event.DecodeOffsetCommits(b[len("before"):])
		if err != nil {
			t.Fatalf("%v", err)
		}
		if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%s", diff)
		}
	})
}

func TestAThousandCommitsOfOneClientTakeFewBytesEach(t *testing.T) {
	t.Parallel()
	commits := make([]event.OffsetCommit, 1000)
	for i := range commits {
		commits[i] = event.OffsetCommit{Group: "a-group-with-a-long-name", Client: "10.0.0.1@a-client-with-a-long-name",
			Queue: event.Queue{Topic: event.TopicID(i / 8), ID: uint32(i % 8)}, Offset: 1_000_000}
	}
	if n := len(event.AppendOffsetCommits(nil, commits)); n > 9*len(commits) {
		t.Fatalf("%d bytes for %d commits", n, len(commits))
	}
}

func TestValidateNamesWhatIsWrongWithAnOffsetCommit(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", event.NameBytesMax+1)
	for want, c := range map[string]event.OffsetCommit{
		"group name of 0 bytes":    {},
		"group name of 1025 bytes": {Group: long},
		"client of 1025 bytes":     {Group: "g", Client: long},
		"offset -1":                {Group: "g", Offset: -1},
	} {
		err := event.ValidateOffsetCommits([]event.OffsetCommit{{Group: "good"}, c})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "commit 1") {
			t.Errorf("got %v, expected an error about commit 1 with %q", err, want)
		}
	}
}

func TestDecodeOffsetCommitsRefusesEveryShorterAndLongerInput(t *testing.T) {
	t.Parallel()
	good := event.AppendOffsetCommits(nil, []event.OffsetCommit{
		{Group: "g", Queue: event.Queue{Topic: 300, ID: 7}, Offset: 1 << 50, Client: "c"},
		{Group: "h", Offset: 1, Client: "c"},
	})
	for n := range good {
		if _, err := event.DecodeOffsetCommits(good[:n]); !errors.Is(err, event.ErrCorrupt) {
			t.Fatalf("%d of %d bytes: %v, expected ErrCorrupt", n, len(good), err)
		}
	}
	if _, err := event.DecodeOffsetCommits(append(good, 0)); !errors.Is(err, event.ErrCorrupt) {
		t.Fatalf("one byte more: %v, expected ErrCorrupt", err)
	}
}

func FuzzDecodeOffsetCommits(f *testing.F) {
	for _, d := range goldenDrafts() {
		if d.Kind == event.KindOffsets {
			f.Add([]byte(d.Payload.(event.Bytes)))
		}
	}
	f.Add(event.AppendOffsetCommits(nil, nil))
	f.Add([]byte{1, 0, 1, 0, 0, 0, 0, 0})
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Add([]byte{1, 1, 0, 1, 0, 1, 1, 1, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		commits, err := event.DecodeOffsetCommits(b)
		if err != nil {
			if !errors.Is(err, event.ErrCorrupt) {
				t.Fatalf("%v is no ErrCorrupt", err)
			}
			return
		}
		if err := event.ValidateOffsetCommits(commits); err != nil {
			t.Fatalf("decoded what is not valid: %v", err)
		}
		again, err := event.DecodeOffsetCommits(event.AppendOffsetCommits(nil, commits))
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(commits, again); diff != "" {
			t.Fatal(diff)
		}
	})
}
