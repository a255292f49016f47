// Package lint holds the rules of this repository that a compiler doesn't
// check, so that they fail in a test and not in a review:
//
//   - Imports: which package may know which other, each forbidden edge with
//     its reason (imports.go).
//   - Calls: what engine code and tests must not call: clocks, global random
//     numbers, sleeps (calls.go).
//   - Sizes: lines per file and per function (sizes.go).
//   - Docs: each package says what it is, each exported name is documented
//     (docs.go).
//   - Layout: what may stand at the top level, and package names that say
//     nothing (layout.go).
//   - Leftovers: marks of unfinished work (leftovers.go).
//   - Protocol: each request code has its row in docs/PROTOCOL.md
//     (protocol.go).
//
// A rule is a function from parsed files to findings. Each has a test with
// small bad samples that it must find, and one test runs all of them over the
// repository.
package lint
