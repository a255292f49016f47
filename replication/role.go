package replication

import (
	"time"

	"github.com/apogeemq/apogee/engine/event"
)

// Role is what a node is in its group at present.
type Role struct {
	// Leads: proposals are accepted. Everything of earlier terms is applied.
	Leads bool
	Term  event.Term
	// Leader is who leads as far as this node knows, zero for nobody.
	Leader Member
}

// Member is a node of a group as its configuration has it.
type Member struct {
	ID      string // hexadecimal name of its copy of the log
	Name    string // n0; empty where the settings of this node don't name it
	Address string // of its Network
	Service string // at which clients reach it; empty where this node hasn't met it
	Voter   bool
	Self    bool
}

// Called is what people know it by: its name, or its address where that isn't known.
func (m Member) Called() string {
	if m.Name != "" {
		return m.Name
	}
	return m.Address
}

// Peering is what a leader knows of another member.
type Peering struct {
	Member
	Match       event.Index // it has stored the log up to this frame
	Behind      int64       // bytes of the log behind what was sent to it last
	LastContact time.Time   // zero for never in this term
	InSync      bool        // a slave that counts
}

// Role of a node by itself: it leads from start to end.
func (s *Single) Role() Role {
	_, term, _ := s.engine.Log().End()
	return Role{Leads: true, Term: term}
}

// RoleChanged never fires.
func (s *Single) RoleChanged() <-chan struct{} { return nil }
