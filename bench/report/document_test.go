package report

import (
	"os"
	"strings"
	"testing"
)

func TestTheBlockIsReplacedBetweenItsMarks(t *testing.T) {
	t.Parallel()
	b := Block("table")
	beginMark, endMark := b.begin(), b.end()
	document := "# Title\n" + beginMark + "\nold\n" + endMark + "\nrest\n"
	got, err := b.replace([]byte(document), "new\n")
	if err != nil || string(got) != "# Title\n"+beginMark+"\n\nnew\n\n"+endMark+"\nrest\n" {
		t.Errorf("%q, %v", got, err)
	}
	again, err := b.replace(got, "new\n")
	if err != nil || string(again) != string(got) {
		t.Errorf("the second time: %q, %v", again, err)
	}
	for _, bad := range []string{"", beginMark, endMark + beginMark, beginMark + endMark + endMark, beginMark + beginMark + endMark} {
		if _, err := b.replace([]byte(bad), "x"); err == nil {
			t.Errorf("%q: accepted", bad)
		}
	}
}

func TestTheDocumentIsCreatedAndThenUpdated(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/BENCHMARKS.md"
	for _, text := range []string{"first", "second"} {
		if err := Block("table").Check(path); err != nil {
			t.Fatal(err)
		}
		if err := Block("table").Update(path, text); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(got), "\n\nsecond\n") || strings.Contains(string(got), "first") {
		t.Errorf("%q, %v", got, err)
	}
}
