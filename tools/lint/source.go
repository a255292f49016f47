package lint

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Module is the module path that every package of the repository starts with.
const Module = "github.com/apogeemq/apogee"

// File is one parsed Go file.
type File struct {
	Path  string // from the repository's root, with '/'
	Text  string
	Set   *token.FileSet
	Tree  *ast.File
	Names map[string]string // local name of each import → import path
}

// Finding is one place that breaks a rule.
type Finding struct {
	Path   string
	Line   int // 0 when the finding is about the whole file or folder
	Reason string
}

// String is "path:line: reason", which editors can jump to.
func (f Finding) String() string {
	if f.Line == 0 {
		return f.Path + ": " + f.Reason
	}
	return fmt.Sprintf("%s:%d: %s", f.Path, f.Line, f.Reason)
}

// Package is the folder of the file, "." for the root.
func (f *File) Package() string { return path.Dir(f.Path) }

// IsTest reports whether the file is compiled for tests only.
func (f *File) IsTest() bool { return strings.HasSuffix(f.Path, "_test.go") }

// ServesTests reports whether the file is a test, or part of a suite that
// several packages' tests share, whose package name ends in "test".
func (f *File) ServesTests() bool {
	return f.IsTest() || strings.HasSuffix(path.Base(f.Package()), "test")
}

// Line is the line number of a position in the file.
func (f *File) Line(p token.Pos) int { return f.Set.Position(p).Line }

func (f *File) finding(p token.Pos, format string, args ...any) Finding {
	return Finding{Path: f.Path, Line: f.Line(p), Reason: fmt.Sprintf(format, args...)}
}

// Parse reads one Go file from its text.
func Parse(name, text string) (*File, error) {
	set := token.NewFileSet()
	tree, err := parser.ParseFile(set, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", name, err)
	}
	f := &File{Path: name, Text: text, Set: set, Tree: tree, Names: map[string]string{}}
	for _, spec := range tree.Imports {
		target, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, fmt.Errorf("parse %s: import %s: %w", name, spec.Path.Value, err)
		}
		f.Names[localName(spec, target)] = target
	}
	return f, nil
}

// localName guesses the name of an import as most packages choose it: the last
// part of the path that isn't a major version.
func localName(spec *ast.ImportSpec, target string) string {
	if spec.Name != nil {
		return spec.Name.Name
	}
	base := path.Base(target)
	if len(base) > 1 && base[0] == 'v' && strings.Trim(base[1:], "0123456789") == "" {
		base = path.Base(path.Dir(target))
	}
	return base
}

// Load parses every Go file under root, except what git doesn't hold.
func Load(root fs.FS) ([]*File, error) {
	var files []*File
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if name == "bin" || name == "data" || entry.Name() == "testdata" ||
				(name != "." && strings.HasPrefix(entry.Name(), ".")) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return fmt.Errorf("load %s: %w", name, err)
		}
		f, err := Parse(name, string(text))
		if err != nil {
			return err
		}
		files = append(files, f)
		return nil
	})
	return files, err
}

// Sorted orders findings by place, for reports that don't change between runs.
func Sorted(findings []Finding) []Finding {
	slices.SortFunc(findings, func(a, b Finding) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), cmp.Compare(a.Line, b.Line),
			strings.Compare(a.Reason, b.Reason))
	})
	return findings
}

// within reports whether folder is dir or lies below it.
func within(folder, dir string) bool {
	return folder == dir || strings.HasPrefix(folder, dir+"/")
}
