package broker

import (
	"github.com/apogeemq/apogee/engine/event"
	"github.com/apogeemq/apogee/server/remoting"
)

// mustCreateGroup reports whether a group is to be created on this first use
// of it.
func (b *Broker) mustCreateGroup(name []byte) bool {
	if !b.live.get().autoCreateGroup {
		return false
	}
	_, found := b.groups.GetBytes(name)
	return !found && checkGroupName(name) == nil
}

// handleAfterGroup creates a group and then serves the request again.
func (b *Broker) handleAfterGroup(rt remoting.ReplyTo, cmd *remoting.Command, name string) {
	later := cmd.Clone()
	b.registry.createGroup(defaultGroup(name), func(err error) {
		if err != nil {
			b.answerError(rt, err)
			return
		}
		b.Handle(rt, later)
	})
}

func errNoGroup(name string) error {
	return refuse(remoting.ResponseGroupNotExist, "subscription group [%.*s] does not exist", groupBytesMax, name)
}

// createGroup makes a group exist and then calls done, on a goroutine on which
// it may take its time. A group that is there already stays as it is.
func (r *registry) createGroup(settings GroupSettings, done func(error)) {
	r.share(&change{subject: subject{event.KindGroup, settings.Name}, decide: func(*topicIDs) (*event.Draft, error) {
		if _, found := r.groups.Get(settings.Name); found {
			return nil, nil
		}
		return groupDraft(settings.Config())
	}}, done)
}

// updateGroup creates a group or replaces the settings of one, but for the
// attributes, which are edited. It calls done as createGroup does.
func (r *registry) updateGroup(settings GroupSettings, edits []attributeEdit, done func(error)) {
	r.make(&change{subject: subject{event.KindGroup, settings.Name}, decide: func(*topicIDs) (*event.Draft, error) {
		current, found := r.groups.Get(settings.Name)
		before := GroupSettings{}
		if found {
			before = groupSettingsOf(current)
		}
		attributes, err := groupAttributes.edit(before.Attributes, found, edits)
		if err != nil {
			return nil, err
		}
		after := settings
		after.Attributes, after.Forbidden = attributes, before.Forbidden
		config := after.Config()
		if found && sameGroupConfig(current.Config, config) {
			return nil, nil
		}
		return groupDraft(config)
	}}, done)
}

// deleteGroup removes a group, and its offsets if told so. It calls done as
// createGroup does; a group that isn't there is no error.
func (r *registry) deleteGroup(deletion event.GroupDeletion, done func(error)) {
	r.make(&change{subject: subject{event.KindGroup, deletion.Name}, decide: func(*topicIDs) (*event.Draft, error) {
		if _, found := r.groups.Get(deletion.Name); !found && !deletion.Offsets {
			return nil, nil
		}
		if deletion.Offsets {
			r.forget(func(group string, _ event.TopicID) bool { return group == deletion.Name })
		}
		payload := event.AppendGroupDeletion(nil, deletion)
		return &event.Draft{Kind: event.KindGroupDeleted, Payload: event.Bytes(payload)}, nil
	}}, done)
}

func groupDraft(c event.GroupConfig) (*event.Draft, error) {
	if err := c.Validate(); err != nil {
		return nil, refuse(remoting.ResponseInvalidParameter, "%v", err)
	}
	return &event.Draft{Kind: event.KindGroup, Payload: event.Bytes(event.AppendGroupConfig(nil, c))}, nil
}

func sameGroupConfig(a, b event.GroupConfig) bool {
	return string(event.AppendGroupConfig(nil, a)) == string(event.AppendGroupConfig(nil, b))
}
