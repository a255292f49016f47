// Package settlement lets what happens to a waiting message be decided once.
//
// A delayed message is delivered or recalled, a half message is committed or
// rolled back, and both may be moved before a trim. Each of these is a proposal
// about the same handle, made by goroutines that know nothing of each other: a
// producer's request, a duty that looks at the clock, another that makes room
// on the disk. The table of waiting messages shows a conclusion only when it is
// applied. Between the decision and that moment the handle is taken, here.
//
//	Begin      takes a handle that waits and that nobody else has taken. The
//	           answer is made after looking at the table, so a message that has
//	           ended meanwhile is not begun again.
//	BeginSeen  the same for many, for somebody who has just read them in the
//	           table. Between Watch and Unwatch conclusions are remembered also
//	           after they are applied, so the table needn't be asked again.
//	Concluded  the proposal is stored at a position. The handle is free again
//	           when that is applied: then the table tells.
//	Withdraw   nothing was proposed, or Propose returned an error.
//
// An outcome in doubt (engine.OutcomeUnknown) is neither: the event may still
// come. The handle stays taken for the life of the Settlement, which is one
// term of a leader: a new leader has applied everything before it decides
// anything, and begins with a Settlement of its own.
//
// Nothing here survives a restart, and nothing has to: a proposal that is not
// in the log then has not happened. Memory is bounded by the proposals in
// flight.
package settlement
