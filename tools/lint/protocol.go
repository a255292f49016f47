package lint

import (
	"go/ast"
	"regexp"
	"strings"
)

// codesFile has the request codes, docs/PROTOCOL.md says what becomes of each.
const codesFile = "server/remoting/codes.go"

var codeRow = regexp.MustCompile(`(?m)^\| (\d+) \|`)

// CheckProtocolPage finds request codes without a row in the page, and rows
// without a code.
func CheckProtocolPage(files []*File, page string) []Finding {
	listed := map[string]bool{}
	for _, row := range codeRow.FindAllStringSubmatch(page, -1) {
		listed[row[1]] = true
	}
	var findings []Finding
	known := map[string]bool{}
	for _, f := range files {
		if f.Path != codesFile {
			continue
		}
		ast.Inspect(f.Tree, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Request") {
				return true
			}
			value, ok := spec.Values[0].(*ast.BasicLit)
			if !ok {
				return true
			}
			if known[value.Value] = true; !listed[value.Value] {
				findings = append(findings, f.finding(spec.Pos(), "%s (%s) has no row in docs/PROTOCOL.md: say there whether it is answered",
					spec.Names[0].Name, value.Value))
			}
			return true
		})
	}
	for code := range listed {
		if !known[code] {
			findings = append(findings, Finding{Path: "docs/PROTOCOL.md", Reason: "code " + code + " is not in " + codesFile})
		}
	}
	return findings
}
