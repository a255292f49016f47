package mutation

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// listed is what `go list` says of a package.
type listed struct {
	ImportPath, Dir, Export string
	GoFiles                 []string
}

// TestEveryMutationCompiles type-checks each mutated package: a mutation that
// doesn't build shows nothing.
func TestEveryMutationCompiles(t *testing.T) {
	t.Parallel()
	packages, exports := listPackages(t)
	files := token.NewFileSet()
	imports := importer.ForCompiler(files, "gc", func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, fmt.Errorf("package %s isn't compiled", path)
		}
		return os.Open(exports[path])
	})
	for _, m := range List {
		dir, err := filepath.Abs(filepath.Join(root, filepath.Dir(m.File)))
		if err != nil {
			t.Fatal(err)
		}
		if err := checkTypes(packages[dir], files, imports, m); err != nil {
			t.Errorf("%s: the mutated code doesn't build: %v", m.Name, err)
		}
	}
}

// listPackages describes the packages that mutations change, by folder, and
// where what they import is compiled, by import path.
func listPackages(t *testing.T) (packages map[string]listed, exports map[string]string) {
	t.Helper()
	arguments := []string{"list", "-export", "-deps", "-json=ImportPath,Dir,Export,GoFiles"}
	for _, m := range List {
		arguments = append(arguments, "./"+filepath.Dir(m.File))
	}
	list := exec.Command("go", arguments...)
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	packages, exports = map[string]listed{}, map[string]string{}
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p listed
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		packages[p.Dir], exports[p.ImportPath] = p, p.Export
	}
	return packages, exports
}

// checkTypes compiles a package with one mutation as far as its types go.
func checkTypes(p listed, files *token.FileSet, imports types.Importer, m Mutation) error {
	var trees []*ast.File
	for _, name := range p.GoFiles {
		source, err := os.ReadFile(filepath.Join(p.Dir, name))
		if err != nil {
			return err
		}
		if name == filepath.Base(m.File) {
			source = []byte(strings.Replace(string(source), m.Old, m.New, 1))
		}
		tree, err := parser.ParseFile(files, name, source, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		trees = append(trees, tree)
	}
	check := types.Config{Importer: imports}
	_, err := check.Check(p.ImportPath, files, trees, nil)
	return err
}
