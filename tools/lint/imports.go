package lint

import (
	"path"
	"strings"
)

// edge forbids packages under From to import packages under To.
type edge struct {
	From   string   // folder of the importing package; "" is every package
	Except []string // folders under From that may
	To     string   // import path, or a folder of this module when it starts with "./"
	Allow  []string // import paths under To that are all right
	Tests  verdict  // whether tests are held to it as well
	Reason string
}

type verdict uint8

const (
	testsToo verdict = iota
	testsMay
)

// forbiddenEdges is the import direction of the repository:
// tools, bench → server → replication → engine → iouring.
var forbiddenEdges = []edge{
	{From: "iouring", To: "./", Allow: []string{"./iouring"},
		Reason: "the ring knows nothing of logs, so that it can be tested on a bare file"},

	{From: "engine", To: "./replication",
		Reason: "the engine must run without raft, as a library and in a simulator"},
	{From: "engine", To: "./server", Reason: "the engine must run without a network"},
	{From: "engine", To: "./bench", Reason: "the engine must not depend on what measures it"},
	{From: "engine", To: "./iouring", Except: []string{"engine/disk"},
		Reason: "only the disk seam may know how I/O is done"},
	{From: "engine", To: "net", Reason: "the engine must run without a network"},
	{From: "engine", To: "os", Except: []string{"engine/disk"}, Tests: testsMay,
		Reason: "files go through engine/disk, so that a simulated disk can crash"},
	{From: "engine", To: "syscall", Except: []string{"engine/disk"}, Tests: testsMay,
		Reason: "system calls go through engine/disk"},
	{From: "engine", To: "golang.org/x/sys", Except: []string{"engine/disk"}, Tests: testsMay,
		Reason: "system calls go through engine/disk"},
	{From: "engine", To: "crypto/rand", Except: []string{"engine/disk"}, Tests: testsMay,
		Reason: "seeds are passed in, so that a run can be repeated"},
	{From: "engine/event", To: "./", Allow: []string{"./engine/event"},
		Reason: "what is in the log depends on nothing else"},
	{From: "engine/disk", To: "./", Allow: []string{"./engine/disk", "./iouring"},
		Reason: "a disk knows nothing of logs"},
	{From: "engine/commitlog", To: "./engine/projection",
		Reason: "the log is the truth, projections follow from it"},

	{From: "replication", To: "./server", Reason: "replication must run without clients"},
	{From: "replication", To: "./bench", Reason: "replication must not depend on what measures it"},

	{From: "server/remoting", To: "./", Allow: []string{"./server/remoting"},
		Reason: "the codec serves broker, nameserver, bench and outbox alike"},
	{From: "server/nameserver", To: "./", Allow: []string{"./server/nameserver", "./server/remoting"},
		Reason: "a nameserver runs alone, without a log"},
	{From: "server/broker", To: "./server/nameserver",
		Reason: "broker and nameserver meet on the wire only: either may run alone"},
	{From: "server", Except: []string{"server/e2e"}, To: "./bench", Reason: "the server must not depend on what measures it"},
	{From: "server/e2e", To: "./bench", Allow: []string{"./bench/check"},
		Reason: "tests of whole processes share the judge of the fault runs and nothing else"},
	{From: "", To: "./tools", Except: []string{"tools"}, Reason: "tools are the top: nothing builds on them"},
	{From: "", To: "./server/node", Except: []string{"server/node", "tools/apogee", "bench"},
		Reason: "assembly is for the binary and for tests of whole processes"},

	{From: "", To: "./bench/chaos", Except: []string{"bench/chaos"},
		Reason: "what drives official clients is a binary of its own"},
	{From: "", To: "github.com/apache/rocketmq-client-go", Except: []string{"bench/chaos", "server/e2e", "tools/outbox/rocketmq"},
		Reason: "the official client would cost every server 8 MB of memory"},
	{From: "", To: "./tools/outbox/rocketmq", Except: []string{"tools/outbox/rocketmq"},
		Reason: "it links the official client; it is for programs of others"},
	{From: "", To: "github.com/hashicorp/raft", Except: []string{"replication"},
		Reason: "only replication speaks raft"},
	{From: "", To: "github.com/iceber/iouring-go", Except: []string{"iouring"},
		Reason: "only iouring uses the library"},
	{From: "iouring", To: "github.com/iceber/iouring-go",
		Allow:  []string{"github.com/iceber/iouring-go/syscall"},
		Reason: "only its syscall part links with today's Go"},
}

// metricsLibrary may be imported by files called metrics.go and by server/node.
const metricsLibrary = "github.com/VictoriaMetrics/metrics"

// CheckImports finds imports against the direction of the repository.
func CheckImports(files []*File) []Finding {
	var findings []Finding
	for _, f := range files {
		for _, spec := range f.Tree.Imports {
			target := strings.Trim(spec.Path.Value, `"`)
			for _, e := range forbiddenEdges {
				if e.forbids(f, target) {
					findings = append(findings, f.finding(spec.Pos(),
						"%s must not import %s: %s", f.Package(), target, e.Reason))
				}
			}
			if target == metricsLibrary && path.Base(f.Path) != "metrics.go" && !within(f.Package(), "server/node") {
				findings = append(findings, f.finding(spec.Pos(),
					"metrics are declared in metrics.go, so that one file shows all of a package"))
			}
			if a, b := projectionOf(f.Package()), projectionOf(inModule(target)); a != "" && b != "" && a != b {
				findings = append(findings, f.finding(spec.Pos(),
					"projection %s must not import projection %s: a projection follows from the log alone", a, b))
			}
		}
	}
	return findings
}

func (e edge) forbids(f *File, target string) bool {
	if e.From != "" && !within(f.Package(), e.From) {
		return false
	}
	if e.Tests == testsMay && f.ServesTests() {
		return false
	}
	for _, folder := range e.Except {
		if within(f.Package(), folder) {
			return false
		}
	}
	for _, allowed := range e.Allow {
		if reaches(target, allowed) {
			return false
		}
	}
	return reaches(target, e.To)
}

// reaches reports whether import path target is pattern or lies below it.
func reaches(target, pattern string) bool {
	if local, ok := strings.CutPrefix(pattern, "./"); ok {
		if local == "" {
			return within(target, Module)
		}
		return within(target, Module+"/"+local)
	}
	return within(target, pattern)
}

// inModule is the folder of an import path of this module, "" for others.
func inModule(target string) string {
	folder, ok := strings.CutPrefix(target, Module+"/")
	if !ok {
		return ""
	}
	return folder
}

// projectionOf names the projection that a folder belongs to, "" for none. The
// suite that tests them all is none.
func projectionOf(folder string) string {
	rest, ok := strings.CutPrefix(folder, "engine/projection/")
	if !ok {
		return ""
	}
	name, _, _ := strings.Cut(rest, "/")
	if name == "projectiontest" {
		return ""
	}
	return name
}
