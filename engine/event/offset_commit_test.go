package event_test

import (
	"math"
	"strings"
	"testing"

	"github.com/apogeemq/apogee/engine/event"
	"pgregory.net/rapid"
)

var offsetPayload = payload[[]event.OffsetCommit]{append: event.AppendOffsetCommits, decode: event.DecodeOffsetCommits, validate: event.ValidateOffsetCommits}

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
	rapid.Check(t, func(t *rapid.T) { offsetPayload.comesBack(t, offsetCommits().Draw(t, "commits")) })
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
	offsetPayload.refusesOthers(t, []event.OffsetCommit{
		{Group: "g", Queue: event.Queue{Topic: 300, ID: 7}, Offset: 1 << 50, Client: "c"},
		{Group: "h", Offset: 1, Client: "c"},
	})
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
	f.Fuzz(func(t *testing.T, b []byte) { offsetPayload.check(t, b) })
}
