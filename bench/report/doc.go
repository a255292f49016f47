// Package report is how the bench commands hand out what they have measured:
// text or JSON, a plot, a block of a document, and word of how far a long run
// is.
package report
