package event_test

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/apogeemq/apogee/engine/event"
	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

func groupConfigs() *rapid.Generator[event.GroupConfig] {
	attribute := rapid.Custom(func(t *rapid.T) event.Attribute {
		return event.Attribute{Key: rapid.StringN(1, 20, 60).Draw(t, "key"), Value: rapid.String().Draw(t, "value")}
	})
	return rapid.Custom(func(t *rapid.T) event.GroupConfig {
		c := event.GroupConfig{
			Name: rapid.StringN(1, 200, event.NameBytesMax).Draw(t, "name"),
			Attributes: rapid.SliceOfDistinct(attribute, func(a event.Attribute) string { return a.Key }).
				Draw(t, "attributes"),
		}
		slices.SortFunc(c.Attributes, func(a, b event.Attribute) int { return cmp.Compare(a.Key, b.Key) })
		return c
	})
}

func TestAGroupConfigThatValidatesComesBackAsItWas(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := groupConfigs().Draw(t, "config")
		if err := want.Validate(); err != nil {
			t.Fatalf("%v", err)
		}
		b := event.AppendGroupConfig([]byte("before"), want)
		got, err := event.DecodeGroupConfig(b[len("before"):])
		if err != nil {
			t.Fatalf("%v", err)
		}
		if diff := gocmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("%s", diff)
		}
	})
}

func TestAGroupDeletionComesBackAsItWas(t *testing.T) {
	t.Parallel()
	for _, want := range []event.GroupDeletion{{Name: "billing"}, {Name: strings.Repeat("g", event.NameBytesMax), Offsets: true}} {
		if err := want.Validate(); err != nil {
			t.Fatal(err)
		}
		got, err := event.DecodeGroupDeletion(event.AppendGroupDeletion(nil, want))
		if err != nil || got != want {
			t.Errorf("got %+v and %v, expected %+v", got, err, want)
		}
	}
}

func TestValidateNamesWhatIsWrongWithAGroup(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("n", event.NameBytesMax+1)
	for want, err := range map[string]error{
		"group configuration: group name of 0 bytes": event.GroupConfig{}.Validate(),
		"group name of 1025 bytes":                   event.GroupConfig{Name: long}.Validate(),
		`group "g": attribute "b" comes after "b"`:   event.GroupConfig{Name: "g", Attributes: []event.Attribute{{Key: "b"}, {Key: "b"}}}.Validate(),
		"group deletion: group name of 0 bytes":      event.GroupDeletion{}.Validate(),
		"group deletion: group name of 1025 bytes":   event.GroupDeletion{Name: long}.Validate(),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, expected an error with %q", err, want)
		}
	}
}

func TestDecodingAGroupRefusesEveryShorterAndLongerInput(t *testing.T) {
	t.Parallel()
	config := event.AppendGroupConfig(nil, event.GroupConfig{Name: "billing", Attributes: []event.Attribute{{Key: "retryMaxTimes", Value: "3"}}})
	deletion := event.AppendGroupDeletion(nil, event.GroupDeletion{Name: "billing", Offsets: true})
	for what, c := range map[string]struct {
		good   []byte
		decode func([]byte) error
	}{
		"configuration": {config, func(b []byte) error { _, err := event.DecodeGroupConfig(b); return err }},
		"deletion":      {deletion, func(b []byte) error { _, err := event.DecodeGroupDeletion(b); return err }},
	} {
		for n := range c.good {
			if err := c.decode(c.good[:n]); !errors.Is(err, event.ErrCorrupt) {
				t.Errorf("%s: %d of %d bytes: %v, expected ErrCorrupt", what, n, len(c.good), err)
			}
		}
		if err := c.decode(append(bytes.Clone(c.good), 0)); !errors.Is(err, event.ErrCorrupt) {
			t.Errorf("%s: one byte more: %v, expected ErrCorrupt", what, err)
		}
		later := bytes.Clone(c.good)
		later[0] = 2
		if err := c.decode(later); err == nil || !strings.Contains(err.Error(), "version 2") {
			t.Errorf("%s: got %v, expected an error about version 2", what, err)
		}
	}
}

func FuzzDecodeGroup(f *testing.F) {
	for _, d := range goldenDrafts() {
		if d.Kind == event.KindGroup || d.Kind == event.KindGroupDeleted {
			f.Add([]byte(d.Payload.(event.Bytes)))
		}
	}
	f.Add([]byte{1, 1, 'g', 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Add([]byte{1, 1, 'g', 2, 1, 'b', 0, 1, 'a', 0})
	f.Add([]byte{1, 1, 'g', 2})
	f.Fuzz(func(t *testing.T, b []byte) {
		if c, err := event.DecodeGroupConfig(b); err == nil {
			if again := event.AppendGroupConfig(nil, c); c.Validate() != nil || !bytes.Equal(again, b) {
				t.Fatalf("%x decodes to %+v, which encodes to %x", b, c, again)
			}
		} else if !errors.Is(err, event.ErrCorrupt) {
			t.Fatalf("%v is no ErrCorrupt", err)
		}
		if d, err := event.DecodeGroupDeletion(b); err == nil {
			if again := event.AppendGroupDeletion(nil, d); d.Validate() != nil || !bytes.Equal(again, b) {
				t.Fatalf("%x decodes to %+v, which encodes to %x", b, d, again)
			}
		} else if !errors.Is(err, event.ErrCorrupt) {
			t.Fatalf("%v is no ErrCorrupt", err)
		}
	})
}
