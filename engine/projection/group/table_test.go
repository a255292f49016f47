package group_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection"
	"github.com/apogeemq/apogee/engine/projection/group"
	gocmp "github.com/google/go-cmp/cmp"
)

func encode(d event.Draft) event.Event {
	b := make([]byte, d.EncodedBytes())
	d.Encode(b, 0)
	return b
}

func config(name, retries string) event.GroupConfig {
	return event.GroupConfig{Name: name, Attributes: []event.Attribute{{Key: "retryMaxTimes", Value: retries}}}
}

func configured(name, retries string) event.Event {
	return encode(event.Draft{Kind: event.KindGroup, Payload: event.Bytes(event.AppendGroupConfig(nil, config(name, retries)))})
}

func deleted(name string) event.Event {
	return encode(event.Draft{Kind: event.KindGroupDeleted, Payload: event.Bytes(event.AppendGroupDeletion(nil, event.GroupDeletion{Name: name}))})
}

func TestAGroupIsCreatedReconfiguredAndDeleted(t *testing.T) {
	t.Parallel()
	table := group.New()
	for i, step := range []struct {
		event   event.Event
		version uint64
		want    []group.Group
	}{
		{configured("billing", "1"), 1, []group.Group{{config("billing", "1"), 0}}},
		{configured("audit", "2"), 2, []group.Group{{config("audit", "2"), 1}, {config("billing", "1"), 0}}},
		{configured("billing", "3"), 3, []group.Group{{config("audit", "2"), 1}, {config("billing", "3"), 2}}},
		{deleted("billing"), 4, []group.Group{{config("audit", "2"), 1}}},
		{deleted("billing"), 4, []group.Group{{config("audit", "2"), 1}}},
		{encode(event.Draft{Kind: event.KindMessage, Payload: event.Bytes("x")}), 4, []group.Group{{config("audit", "2"), 1}}},
	} {
		table.Apply(projection.Place{Timestamp: int64(i)}, step.event)
		if diff := gocmp.Diff(step.want, table.All()); diff != "" || table.Version() != step.version {
			t.Errorf("step %d: version %d, expected %d: %s", i, table.Version(), step.version, diff)
		}
	}
	if _, found := table.Get("billing"); found {
		t.Error("the deleted group is found")
	}
	if got, found := table.GetBytes([]byte("audit")); !found || got.ChangedAt != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestBytesNoProposerLetsThroughPanic(t *testing.T) {
	t.Parallel()
	for _, kind := range []event.Kind{event.KindGroup, event.KindGroupDeleted} {
		func() {
			defer func() {
				if got, _ := recover().(string); !strings.HasPrefix(got, "BUG: group event at position 77: corrupt event") {
					t.Errorf("%v: panic %q", kind, got)
				}
			}()
			group.New().Apply(projection.Place{Position: 77}, encode(event.Draft{Kind: kind}))
		}()
	}
}

func TestRestoreNamesWhatMakesNoSense(t *testing.T) {
	t.Parallel()
	checkpoint := func(names ...string) []byte {
		le := binary.LittleEndian
		b := le.AppendUint32(le.AppendUint64(le.AppendUint32(nil, 1), 99), uint32(len(names)))
		for _, name := range names {
			payload := event.AppendGroupConfig(nil, event.GroupConfig{Name: name})
			b = append(le.AppendUint32(le.AppendUint64(b, 7), uint32(len(payload))), payload...)
		}
		return b
	}
	for want, b := range map[string][]byte{
		`group "a" comes after "a"`: checkpoint("a", "a"),
		`group "a" comes after "b"`: checkpoint("b", "a"),
		"name length":               checkpoint("")[:18+4],
	} {
		err := group.New().Restore(bytes.NewReader(b))
		if !errors.Is(err, projection.ErrCorrupt) || !strings.Contains(err.Error(), want) && want != "name length" {
			t.Errorf("got %v, expected ErrCorrupt with %q", err, want)
		}
	}
	table := group.New()
	if err := table.Restore(bytes.NewReader(checkpoint("a", "b"))); err != nil || table.Version() != 99 || len(table.All()) != 2 {
		t.Errorf("version %d, groups %v, %v", table.Version(), table.All(), err)
	}
}

func TestReadersSeeWholeGroupsWhileTheApplierChangesThem(t *testing.T) {
	t.Parallel()
	table, done := group.New(), make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				for _, one := range table.All() {
					again, found := table.Get(one.Config.Name)
					if found && again.Config.Name != one.Config.Name || len(one.Config.Attributes) != 1 {
						t.Errorf("torn group %+v or %+v", one, again)
						return
					}
				}
			}
		})
	}
	for i := range 3000 {
		table.Apply(projection.Place{}, configured(fmt.Sprint("group-", i%10), fmt.Sprint(i)))
		if i%7 == 0 {
			table.Apply(projection.Place{}, deleted(fmt.Sprint("group-", i%10)))
		}
	}
	close(done)
	readers.Wait()
}

func TestGetAllocatesNothing(t *testing.T) {
	table := group.New()
	name := strings.Repeat("a-long-group-name-", 5)
	table.Apply(projection.Place{}, configured(name, "1"))
	raw := []byte(name)
	if n := testing.AllocsPerRun(100, func() {
		_, found := table.Get(name)
		_, foundToo := table.GetBytes(raw)
		_, none := table.GetBytes(nil)
		if !found || !foundToo || none {
			t.Error("not found")
		}
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}
