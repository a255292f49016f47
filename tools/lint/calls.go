package lint

import (
	"go/ast"
	"slices"
)

// ban forbids uses of names of a package.
type ban struct {
	Package string   // import path
	Names   []string // forbidden names; with Others set, the only names allowed
	Mode    banMode
	Where   func(*File) bool
	Reason  string
}

type banMode uint8

const (
	these banMode = iota
	others
)

var bans = []ban{
	{Package: "time", Names: []string{"Sleep"},
		Where:  (*File).ServesTests,
		Reason: "a test that sleeps is slow or flaky: wait on a channel, a deadline or testing/synctest"},
	{Package: "time", Names: []string{"Now", "Since", "Until"}, Where: isEngineCode,
		Reason: "the engine's clock is passed in, so that a run can be repeated"},
	{Package: "math/rand", Names: seededRandom, Mode: others, Where: isEngineCode,
		Reason: "global random numbers can't be repeated: take a seed"},
	{Package: "math/rand/v2", Names: seededRandom, Mode: others, Where: isEngineCode,
		Reason: "global random numbers can't be repeated: take a seed"},
	{Package: "os", Names: []string{"Exit"},
		Where:  func(f *File) bool { return f.Tree.Name.Name != "main" && !isTestMain(f) },
		Reason: "only a binary's main ends the process; return an error"},
}

// seededRandom are the names of math/rand that carry their own seed.
var seededRandom = []string{"New", "NewSource", "NewPCG", "NewChaCha8", "NewZipf",
	"Rand", "Source", "Source64", "PCG", "ChaCha8", "Zipf"}

func isEngineCode(f *File) bool {
	return within(f.Package(), "engine") && !within(f.Package(), "engine/disk") && !f.ServesTests()
}

// isTestMain reports whether the file holds a TestMain, which may choose to
// become another process.
func isTestMain(f *File) bool {
	return f.IsTest() && slices.ContainsFunc(f.Tree.Decls, func(d ast.Decl) bool {
		fn, ok := d.(*ast.FuncDecl)
		return ok && fn.Recv == nil && fn.Name.Name == "TestMain"
	})
}

// CheckCalls finds uses of banned functions.
func CheckCalls(files []*File) []Finding {
	var findings []Finding
	for _, f := range files {
		ast.Inspect(f.Tree, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			from, ok := sel.X.(*ast.Ident)
			if !ok {
				return true
			}
			for _, b := range bans {
				if f.Names[from.Name] == b.Package && b.covers(sel.Sel.Name) && b.Where(f) {
					findings = append(findings, f.finding(sel.Pos(), "%s.%s: %s", from.Name, sel.Sel.Name, b.Reason))
				}
			}
			return true
		})
	}
	return findings
}

func (b ban) covers(name string) bool {
	return slices.Contains(b.Names, name) == (b.Mode == these)
}
