package lint

import (
	"io/fs"
	"os"
	"testing"
)

// rules are all rules over Go files, by the name of the promise they hold.
var rules = []struct {
	name  string
	check func([]*File) []Finding
}{
	{"imports point from tools to engine", CheckImports},
	{"clocks, random numbers and sleeps stay out", CheckCalls},
	{"files and functions can be read at once", CheckSizes},
	{"packages say what they are", CheckPackageDocs},
	{"exported names are documented", CheckExportedDocs},
	{"package names are nouns", CheckPackageNames},
	{"nothing is left unfinished", CheckLeftovers},
}

func TestTheRepositoryKeepsItsRules(t *testing.T) {
	t.Parallel()
	files, err := Load(repository())
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("found %d Go files: looking in the wrong place", len(files))
	}
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			t.Parallel()
			for _, finding := range Sorted(rule.check(files)) {
				t.Error(finding)
			}
		})
	}
}

func TestTheProtocolPageNamesEveryCode(t *testing.T) {
	t.Parallel()
	files, err := Load(repository())
	if err != nil {
		t.Fatal(err)
	}
	page, err := fs.ReadFile(repository(), "docs/PROTOCOL.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, finding := range CheckProtocolPage(files, string(page)) {
		t.Error(finding)
	}
}

func TestTheTopLevelHoldsOnlyWhatBelongsThere(t *testing.T) {
	t.Parallel()
	entries, err := fs.ReadDir(repository(), ".")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	for _, finding := range CheckTopLevel(names) {
		t.Error(finding)
	}
}

func repository() fs.FS { return os.DirFS("../..") }
