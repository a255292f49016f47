package track

import "github.com/apogeemq/apogee/engine/event"

// Answer is what became of the messages with an id, as JSON. Times are Unix
// milliseconds.
type Answer struct {
	Broker   string    `json:"broker"`
	Messages []Message `json:"messages"`
}

// Message is one message and what the groups have done with it.
type Message struct {
	Topic     string         `json:"topic"`
	Queue     uint32         `json:"queueId"`
	Offset    event.Offset   `json:"queueOffset"` // -1 while it waits and where it is in no queue
	Position  event.Position `json:"commitLogOffset"`
	ID        string         `json:"messageId"`
	UniqueKey string         `json:"uniqueKey,omitempty"`
	Tags      string         `json:"tags,omitempty"`
	Keys      string         `json:"keys,omitempty"`
	StoredAt  int64          `json:"storeTimestamp"`
	State     MessageState   `json:"state"`
	Due       int64          `json:"due,omitempty"`     // of a message that waits
	Asked     uint32         `json:"asked,omitempty"`   // how often producers were asked for its outcome
	EndedAt   int64          `json:"endedAt,omitempty"` // of one that nobody will see
	Groups    []Group        `json:"groups"`
}

// MessageState says where a message is.
type MessageState string

// The states of a message. One that has ended without ever being seen has the
// reason as its state: see event.DropReason.
const (
	Stored    MessageState = "stored"     // in its queue
	Delayed   MessageState = "delayed"    // waits until it is due
	Half      MessageState = "half"       // waits for the outcome of its transaction
	Ended     MessageState = "ended"      // is no longer waiting, and why is not recorded any more
	GivenUp   MessageState = "given up"   // nobody told the outcome of its transaction
	NoTopic   MessageState = "no topic"   // its topic was deleted
	CopyFound MessageState = "copy found" // the message itself is gone; this is the copy for a retry or a dead letter
)

// Group is what one consumer group has done with a message.
type Group struct {
	Group        string          `json:"group"`
	State        GroupState      `json:"state"`
	Note         string          `json:"note,omitempty"`
	Acknowledged *Acknowledgment `json:"acknowledged,omitempty"`
	// Behind is how many messages of the queue the group has to acknowledge
	// before this one.
	Behind *int64 `json:"behind,omitempty"`
	// Deliveries of the message from its own queue, as far as they are recorded:
	// the newest.
	Deliveries []Delivery `json:"deliveries,omitempty"`
	Tries      []Try      `json:"tries,omitempty"`
	Dead       *Place     `json:"dead,omitempty"`
}

// GroupState says how far a group has come with a message.
type GroupState string

// The states of a message in a group.
const (
	Acknowledged GroupState = "acknowledged"
	Skipped      GroupState = "skipped"      // an administrator set the offset past it
	Retrying     GroupState = "retrying"     // sent back, and not acknowledged since
	Dead         GroupState = "dead"         // among the group's dead letters
	Delivered    GroupState = "delivered"    // sent to a client, and not acknowledged
	NotConsumed  GroupState = "not consumed" // the group's offset hasn't passed it
	NotRecorded  GroupState = "not recorded" // the log doesn't tell
)

// Acknowledgment is the commit with which a group passed a message.
type Acknowledgment struct {
	Time   int64        `json:"time"`
	Client string       `json:"client"`
	From   event.Offset `json:"fromOffset"` // of the commit before, -1 where there was none
	To     event.Offset `json:"toOffset"`
	// Exact is false where the commit itself is not recorded any more: then it
	// was at Time or before, and Client is who committed last.
	Exact    bool           `json:"exact"`
	Position event.Position `json:"commitLogOffset"` // of the event
}

// Delivery is one time that a message was sent to a client, between Since and
// Until: deliveries are recorded together, about once a second.
type Delivery struct {
	Client string `json:"client"`
	Since  int64  `json:"since"`
	Until  int64  `json:"until"`
	// Gaps: a filter left out messages near it, and perhaps this one.
	Gaps bool `json:"gaps,omitempty"`
}

// Try is one further delivery of a message that a consumer has sent back.
type Try struct {
	Number       int32           `json:"number"`
	SentBackAt   int64           `json:"sentBackAt,omitempty"` // 0 where it is not recorded any more
	Due          int64           `json:"due,omitempty"`
	State        TryState        `json:"state"`
	Place        *Place          `json:"place,omitempty"` // in the retry topic
	Acknowledged *Acknowledgment `json:"acknowledged,omitempty"`
	Deliveries   []Delivery      `json:"deliveries,omitempty"`

	handle event.Position // of what waited, 0 for nothing
}

// TryState says where a try is.
type TryState string

// The states of a try.
const (
	TryWaiting      TryState = "waiting"      // until it is due
	TryQueued       TryState = "queued"       // in the retry topic
	TryDelivered    TryState = "delivered"    // sent to a client, and not acknowledged
	TryAcknowledged TryState = "acknowledged" // there, by the group
	TryGone         TryState = "gone"         // neither waiting nor found in the retry topic
)

// Place is where a copy of a message is stored.
type Place struct {
	Topic    string         `json:"topic"`
	Queue    uint32         `json:"queueId"`
	Offset   event.Offset   `json:"queueOffset"`
	Position event.Position `json:"commitLogOffset"`
	ID       string         `json:"messageId"`
	StoredAt int64          `json:"storeTimestamp"`
}
