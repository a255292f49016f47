// Package mutation breaks the code that keeps promises on purpose and checks that the
// tests notice. A promise that no test holds would go unnoticed for years; so
// the list in list.go is part of the tests, and grows with every promise.
//
// Each mutation is one replacement in one file. The runner copies the module,
// applies one mutation, runs the tests that should catch it with up to 1,000
// seeds, and fails if they pass. Run it with `make mutations`,
// or some of it with `make mutations ONLY='a vote'`. Whether each mutation still
// stands in its file and compiles is part of every test run.
package mutation
