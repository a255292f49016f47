// Package replication decides what enters the log and when it counts as
// committed.
//
// Everything that depends on state is decided once, by the leader's single
// Proposer; the log gets outcomes only. The Proposer counts queue offsets,
// gathers proposals into one batch while the batch before is on its way to the
// disk, and completes them in log order. What is accepted is stored unless the
// process or the disk fails: a full disk, and too many bytes that wait, refuse a
// proposal before anything of it is in the log.
//
// # A node by itself
//
// A Single runs the same frames as a group, without Raft's goroutines: a new log
// begins with a Raft configuration entry that names the node as the only voter,
// at index 1 and term 1. What it has written, or synced, is committed. A log
// that was in a group is opened so only when its newest configuration names this
// node as the only voter; the node then leads in a new term, durable before it
// proposes.
//
// # A node of a group
//
// A Group is a node among others. The log itself is what Raft replicates; there
// is no second copy. One batch of proposals is one entry is one frame. These are
// what hashicorp/raft works with:
//
//	LogStore      the log as Raft's log: entries are frames
//	entries       the same without the data of events, which only the transport
//	              needs: it is lent it by the log when it sends it
//	StableStore   term and vote, always synced
//	checkpoints   the engine's base checkpoint, which stands in for what
//	              retention dropped
//	stateMachine  moves the engine's Committed mark; applying is the engine's
//	transport     package transport
//
// The Proposer hands one batch at a time to Raft: the next one closes when this
// node's disk has it, and is as large as it got meanwhile. StoreLogs knows a
// batch by its memory and tells the Proposer its place; it completes when the
// engine's Committed mark passes that, as it does on a single node.
//
// # A leader's own copy
//
// StoreLogs returns when a batch of this node's Proposer is appended, so that
// followers store it while the leader's disk does (LogStore.ahead). Raft takes it
// for stored then and counts it as one copy of a majority's. So what Raft has
// committed is committed only as far as this node's own mark has come
// (LogStore.Stored): for the state machine, for what followers are told, and, as
// Raft goes on believing it when the node follows, for what the node confirms to
// others (transport.Entries). Every other entry, of a follower, a configuration,
// the first of a term or a barrier, has passed the mark when StoreLogs returns.
// With a master and slaves all have.
//
// # Leadership
//
// A node that Raft makes the leader accepts proposals once a barrier of its term
// is applied here, with all that went before. When leadership ends, everything
// under way completes as unknown, at once: batches that Raft has, and those that
// wait. It ends when Raft says so, and when a sync of this node's disk takes
// longer than Times.FlushStall: then the transport sends nothing either, so
// that the others elect a leader. What was proposed under one leadership never
// reaches Raft under another behind its barrier (Group.handing). Where Raft
// refuses a batch and leads on, as after a transfer that failed, the node ends
// its leadership and begins anew behind a barrier: offsets were counted for the
// batch and for all behind it.
//
// # A master and its slaves
//
// With GroupOptions.MasterSlave one node, the master, has a vote and the slaves
// have none: Raft commits what the master has stored. What is applied, and
// answered, follows from the slaves (slaveWatch): frames up to what as many
// slaves have as are asked for, among those that count; where fewer count, those
// are waited for and the outcome is NoReplica. A slave counts while it answers and
// keeps up; one that begins to has everything that is committed. So what a
// consumer has seen is on a slave, as long as one is in reach.
//
// The role is in the log: the configuration's only voter is the master. Transfer
// hands it over: the slave gets a vote, Raft transfers leadership, the old master
// loses its vote. Promote makes a slave the master whose master is gone: its own
// Raft is handed an entry, in a much later term, that makes it the only voter.
//
// A node whose log says that it is the master may not know of that. So before it
// opens its log it asks every other member and every nameserver (inquiry), and
// waits until all have answered, or it is told to lead. If one knows of a later
// term it begins without a vote. The frames that its log has and the new
// master's hasn't are copied to a log of their own and dropped, before anything
// is applied; it finds them by asking for terms of entries. A node that is
// running when it meets a later master, or whose log differs in what is applied,
// has to be opened again for that (Differs).
//
// A slave finds its master by asking the nameservers and knocking at it, and so
// becomes a member.
//
// # Beginning
//
// A node with an empty folder asks all peers of its settings. Where one has the
// group's log, the node takes over the log's name, and gets the frames when the
// group has it as a member. Where all have none, the first by name founds the
// group: its log begins with all of them as voters.
//
// A start gives Raft everything that the projections have as a snapshot that it
// never opens, so neither reads it again. Raft looks through the rest of the log
// for configurations; the newest one before is in the file members.
//
// DeleteRange is two things. A suffix is in conflict with the leader's log and is
// gone for good when the call returns. A prefix is a hint only: retention decides
// what goes. A snapshot holds state and points at the log, so a replica that
// installs one gets every retained frame as an entry.
//
// A full disk is no failure. StoreLogs refuses what doesn't fit, Raft sends it
// again, and what was left behind of it counts once: a leader steps down, a
// follower catches up when there is room. A leader without room for another
// segment asks the other voters and hands over to one that has (leaveFull). Term
// and vote need no space. A failed write or sync ends the process.
//
// # Comparing states
//
// What replicas make of one log is the same, or one of them would answer clients in
// another way after the next failure. So a leader holds the states of all others
// against its own (comparing), as engine.Sum has them, after a frame that all come
// to, once a minute where the log has grown. A difference is told: in the text log,
// in metrics, in what the node says of its health. It stops nobody.
//
// It is by time and not when the engine writes a checkpoint: under load that is
// every few seconds, on a quiet node not for days.
//
// # Damage and loss
//
// The log of each node is repaired from those of the others (copies): a frame that
// can't be read is asked for at once, by whoever reads it. A peer lends what it has
// as it is; what it can't read itself it repairs afterwards. Before Raft starts all
// is read that Raft will read, as that ends the process where it can't.
//
// A node whose log may lack what it has confirmed takes part in no election until
// that is over (standing).
//
// # Goroutines
//
//	any number   Propose: encodes into the open batch, under one lock
//	flusher      closes the open batch when it can write (group commit) and
//	             completes the proposals of committed frames
//	watch        ten times a second: completes proposals whose flush is late
//	Raft's       StoreLogs, DeleteRange, Reset one at a time; reads beside them.
//	             Its state machine's: moves Committed, completes proposals
//	log's flusher (Group) does that where this node's disk was the last
//	hand         (Group) gives batches to Raft
//	hear         (Group) ends batches that Raft refuses
//	follow       (Group) keeps the role, completes what is late
//	recover      (Group) ends a loss, and then itself
//	compare      (Group) on the leader: holds the states of the others against its own
//	leaveFull    (Group) hands leadership over when the disk is full
//	repair       (Group) reads what a peer has asked for and could not be read
//	join         (Group) a slave that nobody leads knocks at its master
//	transport's  (Group) with slaves that are waited for: moves Committed
package replication
