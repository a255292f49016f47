package access

import (
	"bytes"
	"fmt"
	"strings"
)

// permission is what an account may do with a topic or a group. The zero value
// is DENY.
type permission uint8

const (
	pub permission = 1 << iota // send to a topic
	sub                        // read from a topic, be in a group

	anyOf = pub | sub // as a need: either will do
)

func (p permission) String() string {
	switch p {
	case pub:
		return "PUB"
	case sub:
		return "SUB"
	case anyOf:
		return "PUB or SUB"
	}
	return "DENY"
}

// parsePermission reads RocketMQ's form; nothing is DENY.
func parsePermission(text string) (permission, error) {
	switch strings.TrimSpace(text) {
	case "", "DENY":
		return 0, nil
	case "PUB":
		return pub, nil
	case "SUB":
		return sub, nil
	case "PUB|SUB", "SUB|PUB":
		return pub | sub, nil
	}
	return 0, fmt.Errorf("%q is no permission: use PUB, SUB, PUB|SUB or DENY", text)
}

// resource is a topic or a group. The name may be borrowed.
type resource struct {
	name  []byte
	group bool
}

func (r resource) String() string { return kindOf(r.group) + " " + string(r.name) }

func kindOf(group bool) string {
	if group {
		return "group"
	}
	return "topic"
}

var retryPrefix = []byte("%RETRY%") // of the name of a group's retry topic

// topicNamed is the resource of a topic: the group's, for a retry topic.
func topicNamed(topic []byte) resource {
	if group, ok := bytes.CutPrefix(topic, retryPrefix); ok {
		return resource{name: group, group: true}
	}
	return resource{name: topic}
}

func groupNamed(group []byte) resource { return resource{name: group, group: true} }
