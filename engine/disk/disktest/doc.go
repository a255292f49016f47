// Package disktest is the conformance suite of disk.Disk: what the log relies
// on, as tests that every implementation passes.
//
// It tests what can be seen without cutting the power; what survives a cut is
// tested by the simulated disk, and promised by the file system elsewhere.
package disktest
