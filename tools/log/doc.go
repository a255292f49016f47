// Package log is `apogee log`: it reads a log folder without changing it, also
// while a broker has it open.
//
// # verify
//
// Walks all of the log with every check there is and prints a summary and each
// finding with its file and offset. The exit status is
//
//	0  nothing is wrong
//	1  only what a crash leaves: opening the log repairs it
//	2  corruption
//	3  wrong usage, a failure to read, or a format of a later version
//
// # dump
//
// Prints one line per event, oldest first. Frames that hold no events get a
// line, too. The payloads that this program knows follow, indented: the record
// of a message with its properties and body, the configuration of a topic, the
// offsets of a commit. Damage is told on the error output and passed over.
//
// Names of topics are learned from the log, as are queue offsets, which are
// counted from its first frame on. So a log whose first segments are trimmed,
// and --seek, give a message the name in its record and no offset.
//
// A compressed body is shown decompressed, up to a limit; a body that is not
// what its flag says is shown as stored.
package log
