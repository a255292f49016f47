package protocoltest

import (
	"iter"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const path = "../../docs/PROTOCOL.md" // from the folder of a server

var row = regexp.MustCompile(`(?m)^\| (\d+) \| \w+ \| (\w+) \|`)

// CheckPage fails the test unless the codes that are answered, and no others,
// are called so in the page's part of that name.
func CheckPage(t *testing.T, part string, answered iter.Seq[int32]) {
	t.Helper()
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	begin, end := "<!-- "+part+" codes: begin -->", "<!-- "+part+" codes: end -->"
	_, rest, ok1 := strings.Cut(string(page), begin)
	table, _, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s has no part between %q and %q", path, begin, end)
	}
	listed := map[int32]string{}
	for _, r := range row.FindAllStringSubmatch(table, -1) {
		code, err := strconv.ParseInt(r[1], 10, 32)
		if err != nil || listed[int32(code)] != "" || r[2] != "yes" && r[2] != "no" {
			t.Errorf("row %q: a code has one row, with yes or no", r[0])
		}
		listed[int32(code)] = r[2]
	}
	known := map[int32]bool{}
	for code := range answered {
		if known[code] = true; listed[code] != "yes" {
			t.Errorf("%s: code %d is answered; its row says %q, it must say \"yes\"", path, code, listed[code])
		}
	}
	for code, state := range listed {
		if state == "yes" && !known[code] {
			t.Errorf("%s: code %d is not answered; its row must say \"no\"", path, code)
		}
	}
}
