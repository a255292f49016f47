package broker

import (
	"slices"
	"strings"

	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/engine/projection/group"
	"github.com/apogeemq/apogee/server/remoting"
)

// forbiddenBits is what RocketMQ's tools are shown for a topic that a group may
// not read: bit 2 of a group's entry (PermName.INDEX_PERM_READ).
const forbiddenBits = 1 << 2

// forbidGroup answers UPDATE_AND_GET_GROUP_FORBIDDEN, when the change is
// applied: whether members of a group may pull a topic. Without readable it
// only tells.
func (b *Broker) forbidGroup(rt remoting.ReplyTo, cmd *remoting.Command) {
	name, topic := cmd.Text("group"), cmd.Text("topic")
	if err := checkTopicName([]byte(topic)); err != nil {
		b.answerError(rt, err)
		return
	}
	tell := func(err error) {
		if err != nil {
			b.answerError(rt, err)
			return
		}
		g, _ := b.groups.Get(name)
		b.answerJSON(rt, struct {
			Group    string `json:"group"`
			Readable bool   `json:"readable"`
			Topic    string `json:"topic"`
		}{name, !forbids(g, topic), topic})
	}
	if _, given := cmd.Get("readable"); !given {
		tell(nil)
		return
	}
	if b.mustCreateGroup([]byte(name)) {
		b.handleAfterGroup(rt, cmd, name)
		return
	}
	b.registry.forbid(name, topic, !cmd.Bool("readable"), tell)
}

// forbid keeps a group away from a topic, or lets it back in. It calls done as
// createGroup does.
func (r *registry) forbid(name, topic string, forbidden bool, done func(error)) {
	r.make(&change{subject: subject{event.KindGroup, name}, decide: func(*topicIDs) (*event.Draft, error) {
		current, found := r.groups.Get(name)
		if !found {
			return nil, errNoGroup(name)
		}
		settings := groupSettingsOf(current)
		topics := slices.DeleteFunc(settings.forbidden(), func(t string) bool { return t == topic })
		if forbidden {
			topics = append(topics, topic)
		}
		slices.Sort(topics)
		settings.Forbidden = strings.Join(topics, forbiddenSeparator)
		config := settings.Config()
		if sameGroupConfig(current.Config, config) {
			return nil, nil
		}
		return groupDraft(config)
	}}, done)
}

// forbiddenSeparator stands between topics; no topic's name has it.
const forbiddenSeparator = ","

// forbidden are the topics that members must not pull.
func (s *GroupSettings) forbidden() []string {
	return slices.DeleteFunc(strings.Split(s.Forbidden, forbiddenSeparator), func(t string) bool { return t == "" })
}

// forbids reports whether members of a group must not pull a topic.
func forbids(g group.Group, topic string) bool {
	for _, a := range g.Config.Attributes {
		if a.Key == attributeForbidden {
			for name := range strings.SplitSeq(a.Value, forbiddenSeparator) {
				if name == topic {
					return true
				}
			}
		}
	}
	return false
}

// forbiddenTable is RocketMQ's: topics that groups must not read.
func forbiddenTable(groups []group.Group) map[string]map[string]int {
	table := make(map[string]map[string]int)
	for _, g := range groups {
		settings := groupSettingsOf(g)
		for _, t := range settings.forbidden() {
			if table[g.Config.Name] == nil {
				table[g.Config.Name] = make(map[string]int)
			}
			table[g.Config.Name][t] = forbiddenBits
		}
	}
	return table
}
