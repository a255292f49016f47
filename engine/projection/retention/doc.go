// Package retention is the projection of what retention has decided: where the
// log begins.
//
// # Fold
//
// event.KindTrim moves the mark up to the frame that it names. The mark never
// goes back: an event that names an earlier frame, or one that is not before
// the event's own, changes nothing. The mark says what consumers may see; when
// a replica removes the files of that part is its own business.
//
// # Goroutines
//
// The applier calls Apply, Checkpoint and Restore. Mark is safe from any
// goroutine and neither locks nor allocates.
//
// # Checkpoint, format 1, little-endian
//
//	4  format    1
//	8  through   last frame that went, 0 for none; the rest is 0 then
//	8  position  after that frame
//	8  decided   frame that holds the decision
//	8  time      of that frame, Unix milliseconds
//	4  cause     as in the payload of event.KindTrim
package retention
