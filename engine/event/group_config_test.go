package event_test

import (
	"strings"
	"testing"

	"github.com/apogeemq/apogee/engine/event"
	"pgregory.net/rapid"
)

var (
	groupPayload         = payload[event.GroupConfig]{event.AppendGroupConfig, event.DecodeGroupConfig, event.GroupConfig.Validate, true}
	groupDeletionPayload = payload[event.GroupDeletion]{event.AppendGroupDeletion, event.DecodeGroupDeletion, event.GroupDeletion.Validate, true}
)

func groupConfigs() *rapid.Generator[event.GroupConfig] {
	return rapid.Custom(func(t *rapid.T) event.GroupConfig {
		return event.GroupConfig{
			Name:       rapid.StringN(1, 200, event.NameBytesMax).Draw(t, "name"),
			Attributes: attributes().Draw(t, "attributes"),
		}
	})
}

func TestAGroupConfigThatValidatesComesBackAsItWas(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) { groupPayload.comesBack(t, groupConfigs().Draw(t, "config")) })
}

func TestAGroupDeletionComesBackAsItWas(t *testing.T) {
	t.Parallel()
	for _, want := range []event.GroupDeletion{{Name: "billing"}, {Name: strings.Repeat("g", event.NameBytesMax), Offsets: true}} {
		groupDeletionPayload.comesBack(t, want)
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
	groupPayload.refusesOthers(t, event.GroupConfig{Name: "billing", Attributes: []event.Attribute{{Key: "retryMaxTimes", Value: "3"}}})
	groupDeletionPayload.refusesOthers(t, event.GroupDeletion{Name: "billing", Offsets: true})
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
		groupPayload.check(t, b)
		groupDeletionPayload.check(t, b)
	})
}
