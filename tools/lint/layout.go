package lint

import (
	"path"
	"slices"
	"strings"
)

// topLevel is everything that may stand in the repository's root, besides
// names that begin with a dot.
var topLevel = []string{
	"bench", "docs", "engine", "iouring", "replication", "server", "tools",
	"go.mod", "go.sum", "Makefile", "README.md", "LICENSE",
}

// unversioned is made by builds and runs; git ignores it.
var unversioned = []string{"bin", "data"}

// emptyNames are package names that tell nothing about what is inside.
var emptyNames = []string{"util", "utils", "common", "base", "manager", "helper", "helpers", "misc", "shared"}

// CheckTopLevel finds entries of the root that don't belong there.
func CheckTopLevel(entries []string) []Finding {
	var findings []Finding
	for _, name := range entries {
		if strings.HasPrefix(name, ".") || slices.Contains(topLevel, name) || slices.Contains(unversioned, name) {
			continue
		}
		if path.Ext(name) == ".prof" || path.Ext(name) == ".test" {
			continue
		}
		findings = append(findings, Finding{Path: name,
			Reason: "not an entry of the top level: find its place below, or argue for it in tools/lint/layout.go"})
	}
	return findings
}

// CheckPackageNames finds packages that aren't called after a noun of ours.
func CheckPackageNames(files []*File) []Finding {
	var findings []Finding
	for _, f := range files {
		name := strings.TrimSuffix(f.Tree.Name.Name, "_test")
		switch {
		case slices.Contains(emptyNames, name):
			findings = append(findings, f.finding(f.Tree.Name.Pos(), "package %s says nothing: name it after what it holds", name))
		case strings.ToLower(name) != name || strings.Contains(name, "_"):
			findings = append(findings, f.finding(f.Tree.Name.Pos(), "package %s: one lower-case word", name))
		case name != "main" && name != path.Base(f.Package()):
			findings = append(findings, f.finding(f.Tree.Name.Pos(), "package %s lies in folder %s: use one name", name, f.Package()))
		}
	}
	return findings
}
