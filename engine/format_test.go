package engine

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var updateFormat = flag.Bool("update-format", false, "write docs/FORMAT.md anew")

const formatDocument = "../docs/FORMAT.md"

const formatIntroduction = `# Formats

Every byte that Apogee writes to disk. The text is that of the packages' own documentation, gathered here by
` + "`go test ./engine -run FormatDocument -update-format`" + `; a test holds the two together. Each format has golden
files in its package's ` + "`testdata`" + `, and each decoder a fuzz test.

All numbers are little-endian and all checksums CRC-32C (Castagnoli), unless a section says otherwise. A seed made
from the log's random id begins most checksums, so that bytes of another log never pass.

| what | where | part of the log |
|---|---|---|
| event: envelope and payload | in frames | yes |
| frame, segment, records (meta, mark, cut, reset, running, lost) | the log's folder | yes |
| base checkpoint | ` + "`base`" + ` in the log's folder | yes |
| index file | ` + "`index/*.idx`" + ` | no: rebuilt from the log |
| state checkpoint | ` + "`index/*.state`" + ` | no: rebuilt from the log |
| what waits for its time or its transaction | ` + "`waiting/`" + ` below storePathRootDir, a Pebble store | no: rebuilt from the log |
| term and vote of a replica | ` + "`stable`" + ` in the log's folder | yes: without it a node may vote twice |
| configurations of a replica | ` + "`members`" + ` in the log's folder | no: read from the log |
| how far slaves are | ` + "`replicated`" + ` in the log's folder | no: without it more is put aside |
| frames that a new master hasn't got | ` + "`divergent/FIRST-LAST.CHECKSUM`" + ` below storePathRootDir: a log of its own | no |
| groups of a cluster | ` + "`groups`" + ` below storePathRootDir (of several, the first) | no |
| entry of an outbox's spool, quarantined or not | payloads of messages in the log below the outbox's folder | yes |
| what an outbox's agent knows of the cluster | ` + "`cluster.json`" + ` below its storePathRootDir: JSON | no: clients' questions bring it back |

Notes in the log's folder of which the name says all, or that have one value: ` + "`owner`" + ` (cluster and broker whose log it is, as text),
` + "`identity`" + ` (the 16 bytes by which a group knows a node that has no log yet), ` + "`received`" + ` (a base checkpoint that is being received),
` + "`differs`" + ` (empty: the master's log contradicts what is applied here; the next start finds where), ` + "`slaves`" + ` (empty: a slave has
knocked at a broker by itself; the next start opens the log so that slaves get it).

A format that changes gets a new version number; a version is never given another meaning. A program that meets a
newer version of what is part of the log stops and says so; what is not part of the log it rebuilds.
`

// formatParts are the places where the text stands, in the document's order.
var formatParts = []struct{ title, file, symbol string }{
	{"Event", "event/doc.go", ""},
	{"Payload: topic", "event/topic_config.go", "TopicConfig"},
	{"Payload: offsets", "event/offset_commit.go", "AppendOffsetCommits"},
	{"Payload: group", "event/group_config.go", "GroupConfig"},
	{"Payload: group deleted", "event/group_config.go", "GroupDeletion"},
	{"Payload: lost", "event/lost.go", "Lost"},
	{"Payload: trim", "event/trim.go", "Trim"},
	{"Payload: locked and unlocked", "event/lock.go", "Lock"},
	{"Payload: delivered", "event/delivery.go", "AppendDeliveries"},
	{"Log", "commitlog/doc.go", ""},
	{"Checkpoint", "checkpoint/doc.go", ""},
	{"Checkpoint section: queue", "projection/queue/doc.go", ""},
	{"Checkpoint section: topic", "projection/topic/doc.go", ""},
	{"Checkpoint section: offset", "projection/offset/doc.go", ""},
	{"Checkpoint section: group", "projection/group/doc.go", ""},
	{"Checkpoint section: retention", "projection/retention/doc.go", ""},
	{"Checkpoint section: lock", "projection/lock/doc.go", ""},
	{"Index file", "indexfile/doc.go", ""},
	{"Waiting messages", "projection/pending/doc.go", ""},
	{"Term and vote", "../replication/stablestore.go", "StableStore"},
	{"Configurations", "../replication/members.go", "memberFile"},
	{"How far slaves are", "../replication/replicated.go", "replicatedName"},
	{"Groups of a cluster", "../server/node/groups.go", "groupStates"},
	{"Outbox: spool", "../tools/outbox/spool/doc.go", ""},
	{"Outbox: messages of the agent", "../tools/outbox/agent/query.go", "letter"},
	{"Outbox: messages of the library", "../tools/outbox/local/doc.go", ""},
}

func TestTheFormatDocumentSaysWhatThePackagesSay(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	b.WriteString(formatIntroduction)
	for _, part := range formatParts {
		fmt.Fprintf(&b, "\n## %s\n\n%s", part.title, markdown(t, part.file, part.symbol))
	}
	if *updateFormat {
		if err := os.WriteFile(formatDocument, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(formatDocument)
	if err != nil || !bytes.Equal(got, b.Bytes()) {
		t.Fatalf("docs/FORMAT.md is not what the packages say: run go test ./engine -run FormatDocument -update-format; %v", err)
	}
}

// markdown is the documentation of a package, or of one name in it.
func markdown(t *testing.T, file, symbol string) []byte {
	t.Helper()
	tree, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	text := tree.Doc.Text()
	if symbol != "" {
		text = documentationOf(tree, symbol)
	}
	if text == "" {
		t.Fatalf("%s: no documentation of %q", file, symbol)
	}
	var p comment.Parser
	printer := comment.Printer{HeadingLevel: 3, HeadingID: func(*comment.Heading) string { return "" },
		DocLinkURL: func(*comment.DocLink) string { return "" }}
	return wrap(printer.Markdown(p.Parse(text)))
}

// wrap gives code blocks fences and leaves all else as it is printed.
func wrap(text []byte) []byte {
	var out []string
	inside := false
	for _, line := range strings.Split(strings.TrimRight(string(text), "\n"), "\n") {
		code := strings.HasPrefix(line, "\t")
		switch {
		case code && !inside:
			out = append(out, "```text")
		case !code && inside && line != "":
			last := len(out) - 1
			for out[last] == "" {
				last--
			}
			out = append(out[:last+1], "```", "")
		}
		inside = code || inside && line == ""
		out = append(out, strings.TrimPrefix(line, "\t"))
	}
	if inside {
		out = append(out, "```")
	}
	return []byte(strings.Join(out, "\n") + "\n")
}

func documentationOf(tree *ast.File, symbol string) string {
	for _, d := range tree.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.Name == symbol {
				return d.Doc.Text()
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					if s.Name.Name == symbol {
						return d.Doc.Text()
					}
				case *ast.ValueSpec:
					if s.Names[0].Name == symbol {
						return d.Doc.Text()
					}
				}
			}
		}
	}
	return ""
}

// fileNames are the sources in which files of a node get their names, as string
// constants whose own names end with Name.
var fileNames = []string{"*.go", "commitlog/*.go", "../replication/*.go", "../server/node/*.go"}

func TestTheFormatDocumentNamesEveryFile(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile(formatDocument)
	if err != nil {
		t.Fatal(err)
	}
	constant := regexp.MustCompile(`(?m)^\s*(?:const )?[a-z]\w*Name\s*=\s*"([^"]+)"`)
	found := 0
	for _, pattern := range fileNames {
		sources, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, source := range sources {
			if strings.HasSuffix(source, "_test.go") {
				continue
			}
			text, err := os.ReadFile(source)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range constant.FindAllSubmatch(text, -1) {
				found++
				if !regexp.MustCompile("(?m)`" + regexp.QuoteMeta(string(m[1])) + "`|^" + regexp.QuoteMeta(string(m[1])) + " ").Match(document) {
					t.Errorf("%s: docs/FORMAT.md doesn't name the file %s", source, m[1])
				}
			}
		}
	}
	if found < 15 {
		t.Errorf("only %d names of files were found", found)
	}
}
