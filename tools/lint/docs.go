package lint

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// CheckPackageDocs finds packages without a package comment, or with several.
// The comment stands in doc.go; a main package has it in main.go.
func CheckPackageDocs(files []*File) []Finding {
	type pkg struct {
		code     bool
		comments []string
	}
	packages := map[string]*pkg{}
	for _, f := range files {
		p := packages[f.Package()]
		if p == nil {
			p = &pkg{}
			packages[f.Package()] = p
		}
		if f.IsTest() {
			continue
		}
		p.code = true
		if f.Tree.Doc != nil && strings.TrimSpace(f.Tree.Doc.Text()) != "" {
			p.comments = append(p.comments, f.Path)
		}
	}
	var findings []Finding
	for folder, p := range packages {
		switch {
		case !p.code:
		case len(p.comments) == 0:
			findings = append(findings, Finding{Path: folder,
				Reason: "no package comment: say in doc.go what the package is and promises"})
		case len(p.comments) > 1:
			findings = append(findings, Finding{Path: folder,
				Reason: "several package comments, keep one: " + strings.Join(p.comments, ", ")})
		case !strings.HasSuffix(p.comments[0], "/doc.go") && !strings.HasSuffix(p.comments[0], "/main.go"):
			findings = append(findings, Finding{Path: p.comments[0],
				Reason: "the package comment belongs in doc.go (main.go in a binary)"})
		}
	}
	return findings
}

// plain are methods whose contract the standard library has written.
var plain = []string{"String", "Error", "Unwrap", "Len", "Less", "Swap", "Push", "Pop"}

// CheckExportedDocs finds exported names without a doc comment.
func CheckExportedDocs(files []*File) []Finding {
	var findings []Finding
	for _, f := range files {
		if f.IsTest() || f.Tree.Name.Name == "main" {
			continue
		}
		for _, decl := range f.Tree.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Name.IsExported() && d.Doc == nil && exportedReceiver(d) && !(d.Recv != nil && slices.Contains(plain, d.Name.Name)) {
					findings = append(findings, f.finding(d.Pos(), "%s has no doc comment", d.Name.Name))
				}
			case *ast.GenDecl:
				findings = append(findings, undocumentedNames(f, d)...)
			}
		}
	}
	return findings
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
	}
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.IsExported()
		default:
			return false
		}
	}
}

// undocumentedNames looks at types, constants and variables. A comment over a
// group or at the end of the line counts.
func undocumentedNames(f *File, d *ast.GenDecl) []Finding {
	var findings []Finding
	for _, spec := range d.Specs {
		switch s := spec.(type) {
		case *ast.TypeSpec:
			if s.Name.IsExported() && d.Doc == nil && s.Doc == nil {
				findings = append(findings, f.finding(s.Pos(), "type %s has no doc comment", s.Name.Name))
			}
		case *ast.ValueSpec:
			if d.Doc != nil || s.Doc != nil || s.Comment != nil {
				continue
			}
			for _, name := range s.Names {
				if name.IsExported() && !continues(d) {
					findings = append(findings, f.finding(name.Pos(), "%s has no doc comment", name.Name))
				}
			}
		}
	}
	return findings
}

// continues reports whether a group's first name carries the comment for an
// enumeration that goes on below it.
func continues(d *ast.GenDecl) bool {
	if d.Tok != token.CONST || len(d.Specs) == 0 {
		return false
	}
	first, ok := d.Specs[0].(*ast.ValueSpec)
	return ok && first.Doc != nil
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
