package lint

import (
	"go/ast"
	"strings"
)

// Hard limits. Most files have 100 to 250 lines, most functions less than 40.
const (
	maxFileLines     = 600
	maxFunctionLines = 70
)

// CheckSizes finds files and functions that have grown past reading.
func CheckSizes(files []*File) []Finding {
	var findings []Finding
	for _, f := range files {
		if n := strings.Count(f.Text, "\n"); n > maxFileLines {
			findings = append(findings, Finding{Path: f.Path,
				Reason: plural(n, "line") + ", more than a file may have: split it by its nouns"})
		}
		for _, decl := range f.Tree.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok {
				continue
			}
			if n := f.Line(fn.End()) - f.Line(fn.Pos()) + 1; n > maxFunctionLines {
				findings = append(findings, f.finding(fn.Pos(),
					"%s has %s, more than a function may have: split it by its steps", fn.Name.Name, plural(n, "line")))
			}
		}
	}
	return findings
}
