package lint

import (
	"strings"
	"testing"
	"testing/fstest"
)

// sample is a small file and the words a rule must say about it; no words mean
// that the rule must be silent.
type sample struct {
	path, text string
	want       string
}

func run(t *testing.T, check func([]*File) []Finding, samples []sample) {
	t.Helper()
	for _, s := range samples {
		f, err := Parse(s.path, s.text)
		if err != nil {
			t.Fatal(err)
		}
		var said []string
		for _, finding := range check([]*File{f}) {
			said = append(said, finding.String())
		}
		got := strings.Join(said, "\n")
		if s.want == "" && got != "" {
			t.Errorf("%s: must be silent, says %q", s.path, got)
		}
		if s.want != "" && !strings.Contains(got, s.want) {
			t.Errorf("%s: says %q, want %q", s.path, got, s.want)
		}
	}
}

func importing(target string) string {
	return "package p\n\nimport \"" + target + "\"\n"
}

func TestImportsAgainstTheDirectionAreFound(t *testing.T) {
	t.Parallel()
	run(t, CheckImports, []sample{
		{"iouring/ring.go", importing(Module + "/engine/disk"), "the ring knows nothing of logs"},
		{"iouring/ring.go", importing("github.com/iceber/iouring-go"), "only its syscall part"},
		{"iouring/ring.go", importing("github.com/iceber/iouring-go/syscall"), ""},
		{"engine/apply.go", importing(Module + "/replication"), "without raft"},
		{"engine/apply_test.go", importing(Module + "/server/remoting"), "without a network"},
		{"engine/apply.go", importing("net/http"), "without a network"},
		{"engine/commitlog/log.go", importing("os"), "a simulated disk can crash"},
		{"engine/commitlog/log_test.go", importing("os"), ""},
		{"engine/projection/projectiontest/golden.go", importing("os"), ""},
		{"engine/disk/posix.go", importing("os"), ""},
		{"engine/disk/simdisk/disk.go", importing("syscall"), ""},
		{"engine/commitlog/log.go", importing("golang.org/x/sys/unix"), "through engine/disk"},
		{"engine/commitlog/log.go", importing(Module + "/iouring"), "only the disk seam"},
		{"engine/engine.go", importing("crypto/rand"), "seeds are passed in"},
		{"engine/projection/queue/index.go", importing(Module + "/engine/projection/topic"), "the log alone"},
		{"engine/projection/queue/index_test.go", importing(Module + "/engine/projection/projectiontest"), ""},
		{"engine/projection/queue/index.go", importing(Module + "/engine/projection"), ""},
		{"replication/node.go", importing(Module + "/server/broker"), "without clients"},
		{"replication/node.go", importing("github.com/hashicorp/raft"), ""},
		{"server/broker/send.go", importing("github.com/hashicorp/raft"), "only replication"},
		{"server/broker/send.go", importing(Module + "/server/node"), "assembly is for the binary"},
		{"server/broker/send.go", importing(Module + "/server/nameserver"), "meet on the wire"},
		{"server/broker/send.go", importing(Module + "/bench/load"), "what measures it"},
		{"server/broker/record/record.go", importing("github.com/iceber/iouring-go/syscall"), "only iouring"},
		{"server/remoting/conn.go", importing(Module + "/server/broker"), "the codec serves"},
		{"server/nameserver/table.go", importing(Module + "/engine/event"), "runs alone"},
		{"bench/load/load.go", importing(Module + "/tools/admin"), "nothing builds on them"},
		{"tools/apogee/main.go", importing(Module + "/server/node"), ""},
		{"tools/apogee/main.go", importing(Module + "/tools/admin"), ""},
		{"tools/apogee/main.go", importing(Module + "/bench/chaos"), "a binary of its own"},
		{"bench/command.go", importing(Module + "/bench/chaos"), "a binary of its own"},
		{"bench/chaos/apogee-chaos/main.go", importing(Module + "/bench/chaos"), ""},
		{"tools/producer/command.go", importing("github.com/apache/rocketmq-client-go/v2"), "8 MB"},
		{"server/e2e/client_test.go", importing("github.com/apache/rocketmq-client-go/v2"), ""},
		{"tools/outbox/rocketmq/sender.go", importing("github.com/apache/rocketmq-client-go/v2"), ""},
		{"tools/outbox/agent/command.go", importing(Module + "/tools/outbox/rocketmq"), "programs of others"},
		{"server/broker/send.go", importing(metricsLibrary), "metrics.go"},
		{"server/broker/metrics.go", importing(metricsLibrary), ""},
		{"server/node/admin.go", importing(metricsLibrary), ""},
	})
}

func TestClocksSleepsAndGlobalRandomNumbersAreFound(t *testing.T) {
	t.Parallel()
	run(t, CheckCalls, []sample{
		{"engine/apply.go", "package p\nimport \"time\"\nvar x = time.Now()", "clock is passed in"},
		{"engine/apply.go", "package p\nimport clock \"time\"\nvar x = clock.Since", "clock is passed in"},
		{"engine/apply.go", "package p\nimport \"time\"\nvar x = time.Second", ""},
		{"engine/apply_test.go", "package p\nimport \"time\"\nvar x = time.Now()", ""},
		{"engine/disk/posix.go", "package p\nimport \"time\"\nvar x = time.Now()", ""},
		{"engine/apply.go", "package p\nimport \"math/rand/v2\"\nvar x = rand.IntN(3)", "take a seed"},
		{"engine/apply.go", "package p\nimport \"math/rand/v2\"\nvar x = rand.New(rand.NewPCG(1, 2))", ""},
		{"engine/apply.go", "package p\nvar time clock\nvar x = time.Now()", ""},
		{"server/node/node.go", "package p\nimport \"os\"\nfunc f() { os.Exit(1) }", "only a binary's main"},
		{"tools/apogee/main.go", "package main\nimport \"os\"\nfunc f() { os.Exit(1) }", ""},
		{"bench/load/load_test.go", "package p\nimport \"time\"\nfunc f() { time.Sleep(1) }", "a test that sleeps"},
		{"bench/load/load.go", "package p\nimport \"time\"\nfunc f() { time.Sleep(1) }", ""},
	})
}

func TestLongFilesAndFunctionsAreFound(t *testing.T) {
	t.Parallel()
	function := func(lines int) string {
		return "package p\n\nfunc long() {\n" + strings.Repeat("\t_ = 1\n", lines-2) + "}\n"
	}
	run(t, CheckSizes, []sample{
		{"engine/a.go", function(maxFunctionLines), ""},
		{"engine/a.go", function(maxFunctionLines + 1), "a.go:3: long has 71 lines"},
		{"engine/a.go", "package p\n" + strings.Repeat("\n", maxFileLines-1), ""},
		{"engine/a_test.go", "package p\n" + strings.Repeat("\n", maxFileLines), "601 lines"},
	})
}

func TestMissingPackageCommentsAreFound(t *testing.T) {
	t.Parallel()
	run(t, CheckPackageDocs, []sample{
		{"engine/a.go", "package engine\n", "no package comment"},
		{"engine/a.go", "// Package engine is misplaced.\npackage engine\n", "belongs in doc.go"},
		{"engine/doc.go", "// Package engine is.\npackage engine\n", ""},
		{"tools/apogee/main.go", "// Apogee is.\npackage main\n", ""},
		{"tools/lint/x_test.go", "package lint\n", ""},
	})
}

func TestTwoPackageCommentsAreFound(t *testing.T) {
	t.Parallel()
	a, err := Parse("engine/doc.go", "// Package engine is.\npackage engine\n")
	if err != nil {
		t.Fatal(err)
	}
	b, err := Parse("engine/b.go", "// Package engine is also.\npackage engine\n")
	if err != nil {
		t.Fatal(err)
	}
	got := CheckPackageDocs([]*File{a, b})
	if len(got) != 1 || !strings.Contains(got[0].Reason, "several") {
		t.Errorf("got %v, want one finding about several comments", got)
	}
}

func TestUndocumentedExportedNamesAreFound(t *testing.T) {
	t.Parallel()
	run(t, CheckExportedDocs, []sample{
		{"engine/a.go", "package p\nfunc Open() {}", "Open has no doc comment"},
		{"engine/a.go", "package p\n// Open opens.\nfunc Open() {}", ""},
		{"engine/a.go", "package p\ntype Log struct{}", "type Log has no doc comment"},
		{"engine/a.go", "package p\ntype log[T any] struct{}\nfunc (l *log[T]) Len() int { return 0 }", ""},
		{"engine/a.go", "package p\n// Log is.\ntype Log struct{}\nfunc (l *Log) Close() {}", "Close has no doc comment"},
		{"engine/a.go", "package p\n// Log is.\ntype Log struct{}\nfunc (l *Log) String() string { return \"\" }", ""},
		{"engine/a.go", "package p\nvar ErrX, errY = 1, 2", "ErrX has no doc comment"},
		{"engine/a.go", "package p\nvar ErrX = 1 // it was x", ""},
		{"engine/a.go", "package p\nconst (\n// A is first.\nA = iota\nB\n)", ""},
		{"engine/a.go", "package p\nvar (\n// ErrA is.\nErrA = 1\nErrB = 2\n)", "ErrB has no doc comment"},
		{"engine/a_test.go", "package p\nfunc TestX() {}", ""},
		{"tools/apogee/main.go", "package main\nfunc Run() {}", ""},
	})
}

func TestPackageNamesThatSayNothingAreFound(t *testing.T) {
	t.Parallel()
	run(t, CheckPackageNames, []sample{
		{"server/util/a.go", "package util", "says nothing"},
		{"server/Broker/a.go", "package Broker", "one lower-case word"},
		{"server/broker/a.go", "package brok", "use one name"},
		{"server/broker/a_test.go", "package broker_test", ""},
		{"tools/apogee/main.go", "package main", ""},
	})
}

func TestMarksOfUnfinishedWorkAreFound(t *testing.T) {
	t.Parallel()
	run(t, CheckLeftovers, []sample{
		{"engine/a.go", "package p\n// TO" + "DO: later", "finish it"},
		{"engine/a.go", "package p\n/* x FIX" + "ME */", "a.go:2"},
		{"engine/a.go", "package p\n// SCHEDULE_TOPIC_XXXX is a name\nvar todo = 1", ""},
	})
}

func TestStrangersAtTheTopLevelAreFound(t *testing.T) {
	t.Parallel()
	got := CheckTopLevel([]string{".ci", "engine", "Makefile", "notes.txt", "internal", "bin"})
	if len(got) != 2 || got[0].Path != "notes.txt" || got[1].Path != "internal" {
		t.Errorf("got %v, want findings for notes.txt and internal", got)
	}
}

func TestOnlyVersionedGoFilesAreLoaded(t *testing.T) {
	t.Parallel()
	text := &fstest.MapFile{Data: []byte("package p\n")}
	files, err := Load(fstest.MapFS{
		"engine/a.go": text, "engine/testdata/bad.go": text, "bin/b.go": text, ".git/c.go": text, "engine/a.txt": text,
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 1 || files[0].Path != "engine/a.go" {
		t.Errorf("loaded %d files, want engine/a.go alone", len(files))
	}
}

func TestABrokenFileIsAnErrorWithItsName(t *testing.T) {
	t.Parallel()
	_, err := Load(fstest.MapFS{"engine/a.go": &fstest.MapFile{Data: []byte("packag p\n")}})
	if err == nil || !strings.Contains(err.Error(), "engine/a.go") {
		t.Errorf("got %v, want an error naming engine/a.go", err)
	}
}

func TestCodesAndRowsBelongTogether(t *testing.T) {
	t.Parallel()
	code := "package remoting\n\nconst (\n\tRequestA int32 = 10\n\tRequestB int32 = 11 // why\n\tResponseC int32 = 12\n)\n"
	page := func(text string) func([]*File) []Finding {
		return func(files []*File) []Finding { return CheckProtocolPage(files, text) }
	}
	run(t, page("| 10 | A | yes | |\n| 11 | B | no | |\n"), []sample{{codesFile, code, ""}})
	run(t, page("| 10 | A | yes | |\n"), []sample{{codesFile, code, "RequestB (11) has no row"}})
	run(t, page("| 10 | A | yes | |\n| 11 | B | no | |\n| 99 | Z | no | |\n"), []sample{{codesFile, code, "code 99 is not in"}})
}
