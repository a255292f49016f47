// Package protocoltest compares what a server answers with what
// docs/PROTOCOL.md says about it.
package protocoltest
