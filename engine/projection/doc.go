// Package projection says what a projection is: a fold over the log that can
// be deleted at any time and is rebuilt from it.
//
// # Rules
//
// The state of a projection is a function of the events before it and of
// nothing else. It never looks at the clock (time comes from the frame), reads
// no configuration, uses no chance, lets no map order out, knows no other
// projection and never writes to the log.
//
// Apply is unconditional. Whoever proposed the event has decided everything
// that depends on state, so a projection has nothing to refuse; it defines a
// result for every event whose payload can be decoded. A panic in Apply would
// stop every replica at the same entry, so it is kept for bytes that no
// proposer may let through, and its text begins with BUG.
//
// # Goroutines
//
// One goroutine at a time, the applier, calls Apply, Checkpoint and Restore
// and whatever else changes the state. The methods by which a projection is
// read are safe for any number of goroutines beside it.
//
// # Checkpoints
//
// A checkpoint is canonical: equal state gives equal bytes, whatever the way
// that led to the state. Replicas compare these bytes. Each layout begins
// with a format number of its own. Checksums are the business of the
// container that the bytes are put into; Restore still checks every length
// before it allocates, reads to the end of its input, and changes nothing
// when it returns an error.
package projection
