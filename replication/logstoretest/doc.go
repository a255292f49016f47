// Package logstoretest is the conformance suite of Raft's log stores: what
// hashicorp/raft demands of a raft.LogStore that can't hold gaps, and what a
// node that votes and acknowledges demands of one that may lose power.
//
//   - Entries are read back as they were stored; what isn't there is
//     raft.ErrLogNotFound, the very value.
//   - First and last index are 0 for an empty log.
//   - An entry that doesn't continue the log is refused, and nothing of its
//     batch is stored.
//   - A range that ends with the newest entry is gone for good when DeleteRange
//     returns, the whole log included. A range at the beginning is a hint.
//   - Of a log that was trimmed, the entry before the first is known by index
//     and term, and what is read of it can't be stored: Raft may read it as one
//     of the entries that it is about to send.
//   - What StoreLogs and DeleteRange have returned for is there after a power
//     cut at any step; what they were doing is done or not.
//
// Run has everything but the power cuts, RunPowerCuts the rest.
package logstoretest
